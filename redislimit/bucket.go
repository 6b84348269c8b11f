package redislimit

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// What the script does besides the exchange of holds.
const (
	take  = "take"  // takes a token
	drain = "drain" // takes all tokens
	hold  = "hold"  // nothing else
)

// script extends the hold in Redis, and takes tokens from the bucket unless there is a hold. It
// uses the clock of Redis only.
//
// The bucket is stored as the time at which it will be full, in microseconds. A time that is later
// than that of an empty bucket was stored before the clock was set back, or with other options.
//
// It returns whether a token was taken, the microseconds until the next token, and the rest of the
// hold in milliseconds.
var script = redis.NewScript(`
local bucket, hold = KEYS[1], KEYS[2]
local action, interval, burst = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local held = math.max(redis.call("PTTL", hold), 0)
if tonumber(ARGV[4]) > held then
	held = tonumber(ARGV[4])
	redis.call("SET", hold, "", "PX", ARGV[4])
end
if action == "hold" or action == "take" and held > 0 then
	return {0, 0, held}
end

local clock = redis.call("TIME")
local now = clock[1] * 1000000 + clock[2]
local empty = now + burst * interval
local full = tonumber(redis.call("GET", bucket)) or now
full = math.min(math.max(full, now), empty)
local granted = 0
if action == "drain" then
	full = empty
elseif full + interval <= empty then
	full = full + interval
	granted = 1
end
local expiry = math.max(1, math.ceil((full - now) / 1000))
redis.call("SET", bucket, string.format("%.0f", full), "PX", string.format("%.0f", expiry))
return {granted, math.max(0, full + interval - empty), held}`)

// reply is the result of the script.
type reply struct {
	granted bool          // whether a token was taken
	wait    time.Duration // until the next token
	held    time.Duration // the rest of the hold
}

// run runs the script. held is the rest of the hold that this process knows.
func (l *Limiter) run(ctx context.Context, action string, held time.Duration) (reply, error) {
	values, err := script.Run(ctx, l.client, l.keys,
		action, l.interval.Microseconds(), l.burst, milliseconds(held)).Int64Slice()
	if err != nil {
		return reply{}, err
	}
	if len(values) != 3 {
		return reply{}, fmt.Errorf("the script returned %d values instead of 3", len(values))
	}
	return reply{
		granted: values[0] == 1,
		wait:    time.Duration(values[1]) * time.Microsecond,
		held:    time.Duration(values[2]) * time.Millisecond,
	}, nil
}

// longestHold bounds holds in Redis, so that no number overflows.
const longestHold = 10 * 365 * 24 * time.Hour

// milliseconds rounds up, so that a hold in Redis does not end early. It returns 0 if there is no
// hold.
func milliseconds(held time.Duration) int64 {
	if held <= 0 {
		return 0
	}
	return min(held, longestHold).Milliseconds() + 1
}
