package tunnellogs_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunnellogs"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func TestTail_EveryConnector(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, r *rig, ids []string) {
		tail := r.tail(r.client, r.params)
		for _, id := range ids {
			r.log(id, "of "+id)
		}
		want := []string{"of " + ids[0], "of " + ids[1], "of " + ids[2]}
		assert.ElementsMatch(t, want, tail.lines())
		assert.Equal(t, 1, r.count(opToken), "one token for all")

		joined := r.connect()
		time.Sleep(29 * time.Second)
		r.log(joined, "too early")
		assert.Empty(t, tail.lines())
		time.Sleep(2 * time.Second)
		r.log(joined, "joined")
		assert.Equal(t, []string{"joined"}, tail.lines())
		tail.end()
	})
}

func TestTail_ConnectorIDs(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(t *testing.T, r *rig, ids []string) {
		r.params.ConnectorIDs = []string{strings.ToUpper(ids[1]), "another"}
		tail := r.tail(r.client, r.params)
		r.log(ids[0], "no")
		r.log(ids[1], "yes")
		assert.Equal(t, []string{"yes"}, tail.lines())
		tail.end()
	})
}

func TestTail_Filter(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		r.params.Level = tunnellogs.LevelWarn
		tail := r.tail(r.client, r.params)
		r.log(ids[0], "info")
		r.Log(ids[0], tunnellogs.Entry{Level: tunnellogs.LevelError, Message: "error"})
		assert.Equal(t, []string{"error"}, tail.lines())
		tail.end()
	})
}

func TestTail_NoConnectorAtStart(t *testing.T) {
	t.Parallel()
	inBubble(t, 0, func(t *testing.T, r *rig, _ []string) {
		tail := r.tail(r.client, r.params)
		<-tail.done
		errs := tail.errors()
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], tunnellogs.ErrNoConnector)

		r.connect()
		r.params.ConnectorIDs = []string{"another"}
		tail = r.tail(r.client, r.params)
		<-tail.done
		errs = tail.errors()
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], tunnellogs.ErrNoConnector)
		assert.Zero(t, r.count(opToken))
	})
}

// listing is a fault: the API lists one connector, with these features.
func listing(id, features string) tunneltest.Fault {
	return tunneltest.Fault{Operation: opList, Body: fmt.Sprintf(
		`{"success":true,"errors":[],"messages":[],"result":[{"id":%q,"features":%s,"conns":[]}]}`,
		id,
		features,
	)}
}

func TestTail_ConnectorWithoutFeature(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		r.Inject(listing(ids[0], `["ha-origin"]`))
		tail := r.tail(r.client, r.params)
		<-tail.done
		errs := tail.errors()
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], tunnellogs.ErrNoConnector)

		r.Inject(listing(ids[0], `null`)) // it may be able to stream
		tail = r.tail(r.client, r.params)
		r.log(ids[0], "a line")
		assert.Equal(t, []string{"a line"}, tail.lines())
		tail.end()
	})
}

func TestTail_WaitsForNewConnector(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		tail := r.tail(r.client, r.params)
		r.Disconnect(ids[0])
		time.Sleep(time.Hour)
		require.ErrorIs(t, tail.oneError(ids[0]), tunnellogs.ErrNoConnector)
		id := r.connect()
		time.Sleep(time.Minute)
		r.log(id, "a line")
		assert.Equal(t, []string{"a line"}, tail.lines())
		tail.end()
	})
}

func TestTail_ErrorsAtStart(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, _ []string) {
		for operation, want := range map[string]error{opList: cftunnel.ErrForbidden, opToken: cftunnel.ErrForbidden} {
			r.Inject(tunneltest.Fault{Operation: operation, Status: http.StatusForbidden})
			tail := r.tail(r.client, r.params)
			<-tail.done
			errs := tail.errors()
			require.Len(t, errs, 1)
			require.ErrorIs(t, errs[0], want)
		}
		r.params.Sampling = 2
		tail := r.tail(r.client, r.params)
		<-tail.done
		var invalid *cftunnel.InvalidArgumentError
		errs := tail.errors()
		require.Len(t, errs, 1)
		require.ErrorAs(t, errs[0], &invalid)
		for _, err := range tunnellogs.Tail(t.Context(), nil, r.tunnel.ID, tunnellogs.Params{}) {
			require.ErrorAs(t, err, &invalid)
		}
		assert.Zero(t, r.count(opLogs))
	})
}

func TestTail_ContinuesAfterFailedPolls(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		var logged bytes.Buffer
		r.params.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		r.params.PollInterval = time.Second
		tail := r.tail(r.client, r.params)
		r.Inject(tunneltest.Fault{
			Operation: opList,
			Status:    http.StatusNotFound,
			Times:     tunneltest.Always,
		})
		time.Sleep(time.Minute)
		r.log(ids[0], "a line")
		assert.Equal(t, []string{"a line"}, tail.lines())
		r.ClearFaults()
		joined := r.connect()
		time.Sleep(2 * time.Second)
		r.log(joined, "joined")
		assert.Equal(t, []string{"joined"}, tail.lines())
		tail.end()
		assert.Contains(t, logged.String(), "listing the connectors failed")
	})
}

func TestTail_InvalidFilter(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, r *rig, _ []string) {
		r.params.Level = "verbose"
		tail := r.tail(r.client, r.params)
		<-tail.done
		errs := tail.errors()
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], tunnellogs.ErrInvalidFilter)
	})
}

func TestTail_SessionLimit(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(t *testing.T, r *rig, ids []string) {
		other := r.open(ids[0], tunnellogs.Filter{})
		r.logs.gaps()
		tail := r.tail(r.clientOf(r.AddToken(tunneltest.Token{})), r.params)
		failure := tail.oneError(ids[0])
		require.ErrorIs(t, failure, tunnellogs.ErrSessionLimit)
		assert.Equal(t, 4002, failure.CloseCode)
		r.log(ids[1], "the others go on")
		assert.Equal(t, []string{"the others go on"}, tail.lines())
		r.logs.gaps()
		time.Sleep(10*time.Minute + time.Second)
		assert.Empty(t, tail.errors())
		gaps := r.logs.gaps()
		assert.Equal(t, slices.Repeat([]time.Duration{time.Minute}, 9), gaps)

		require.NoError(t, other.Close())
		time.Sleep(time.Minute)
		r.log(ids[0], "free")
		assert.Equal(t, []string{"free"}, tail.lines())
		tail.end()
	})
}

func TestTail_BrokenNetwork(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		tail := r.tail(r.client, r.params)
		r.logs.cut()
		time.Sleep(2 * time.Second)
		r.log(ids[0], "again")
		assert.Equal(t, []string{"again"}, tail.lines())

		time.Sleep(2 * time.Minute) // too long for a replacement, too short to reset the pause
		r.logs.refuse(true)
		r.logs.gaps()
		r.logs.cut()
		time.Sleep(10 * time.Minute)
		seconds := time.Second
		assert.Equal(t, []time.Duration{
			4 * seconds, 8 * seconds, 16 * seconds, 32 * seconds, 60 * seconds, 60 * seconds,
		}, r.logs.gaps()[:6])
		r.logs.refuse(false)
		time.Sleep(time.Minute)
		r.log(ids[0], "and again")
		assert.Equal(t, []string{"and again"}, tail.lines())

		time.Sleep(6 * time.Minute)
		r.logs.refuse(true)
		r.logs.gaps()
		r.logs.cut()
		time.Sleep(10 * time.Second)
		assert.Equal(t, []time.Duration{2 * seconds, 4 * seconds}, r.logs.gaps())
		r.logs.refuse(false)
		assert.Empty(t, tail.errors())
		tail.end()
	})
}

func TestTail_FirstStreamFails(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		r.logs.refuse(true)
		tail := r.tail(r.client, r.params)
		require.ErrorIs(t, tail.oneError(ids[0]), errRefused)
		time.Sleep(5 * time.Minute)
		assert.Empty(t, tail.errors())
		r.logs.refuse(false)
		time.Sleep(time.Minute)
		r.log(ids[0], "a line")
		assert.Equal(t, []string{"a line"}, tail.lines())
		tail.end()
	})
}

// The broken network and the session limit are two errors. Each is yielded once.
func TestTail_SessionLimitAfterBrokenNetwork(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		r.open(ids[0], tunnellogs.Filter{})
		r.logs.refuse(true)
		tail := r.tail(r.clientOf(r.AddToken(tunneltest.Token{})), r.params)
		require.ErrorIs(t, tail.oneError(ids[0]), errRefused)
		r.logs.refuse(false)
		time.Sleep(10 * time.Minute)
		require.ErrorIs(t, tail.oneError(ids[0]), tunnellogs.ErrSessionLimit)
		tail.end()
	})
}

func TestTail_TwoTailsOfOneUser(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		first := r.tail(r.client, r.params)
		second := r.tail(r.client, r.params)
		time.Sleep(time.Minute)
		failure := first.oneError(ids[0])
		require.ErrorIs(t, failure, tunnellogs.ErrReplaced)
		dials := r.count(opLogs)
		assert.LessOrEqual(t, dials, 4)
		time.Sleep(time.Hour)
		assert.Equal(t, dials+1, r.count(opLogs), "one renewal, of the second Tail")
		r.log(ids[0], "a line")
		assert.Empty(t, first.lines())
		assert.Equal(t, []string{"a line"}, second.lines())
		assert.Empty(t, first.errors())
		first.end()
		second.end()
	})
}

func TestTail_BrokenConnectionsAMinuteApart(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		tail := r.tail(r.client, r.params)
		for range 10 {
			r.logs.cut()
			time.Sleep(2 * time.Minute)
			r.log(ids[0], "a line")
			assert.Equal(t, []string{"a line"}, tail.lines())
		}
		tail.end()
	})
}

func TestTail_ReplacedWithCloseFrame(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		s := r.serve(closes(1000, "context closed"))
		tail := r.tail(r.client, r.params)
		time.Sleep(time.Hour)
		require.ErrorIs(t, tail.oneError(ids[0]), tunnellogs.ErrReplaced)
		assert.Len(t, s.received(), 1)
		tail.end()
	})
}

func TestTail_ReconnectsToReturnedConnector(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]func(r *rig, id string){
		"missing in a list": func(r *rig, id string) {
			r.Inject(missing())
			time.Sleep(2 * time.Minute)
		},
		"disconnected between two lists": func(r *rig, id string) {
			params := cftunnel.CleanupParams{ConnectorID: id}
			err := r.client.Connectors.Cleanup(r.t.Context(), r.tunnel.ID, params)
			require.NoError(r.t, err)
			time.Sleep(2 * time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, 2, func(t *testing.T, r *rig, ids []string) {
				r.Inject(tunneltest.Fault{Operation: opLogs, Status: http.StatusForbidden})
				tail := r.tail(r.client, r.params)
				errs := tail.errors()
				require.Len(t, errs, 1)
				var failure *tunnellogs.StreamError
				require.ErrorAs(t, errs[0], &failure)
				assert.Equal(t, 403, failure.StatusCode)
				time.Sleep(time.Hour)
				for _, id := range ids {
					r.log(id, id)
				}
				others := tail.lines()
				assert.Len(t, others, 1)
				assert.NotContains(t, others, failure.ConnectorID)
				back(r, failure.ConnectorID)
				r.log(failure.ConnectorID, "back")
				assert.Equal(t, []string{"back"}, tail.lines())
				assert.Empty(t, tail.errors())
				tail.end()
			})
		})
	}
}

// The API lists connectors without connections, but Cloudflare cannot reach them.
func TestTail_ConnectorWithoutConnections(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		r.SetConnections(ids[0], 0)
		tail := r.tail(r.client, r.params)
		require.ErrorIs(t, tail.oneError(ids[0]), tunnellogs.ErrNoConnector)
		time.Sleep(10 * time.Minute)
		assert.Equal(t, 1, r.count(opLogs))
		r.SetConnections(ids[0], 4)
		time.Sleep(time.Minute)
		r.log(ids[0], "a line")
		assert.Equal(t, []string{"a line"}, tail.lines())
		assert.Empty(t, tail.errors())
		tail.end()
	})
}

func TestTail_DoesNotReconnectAfterOtherEnds(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]func(context.Context, *websocket.Conn){
		"1003": closes(1003, "unknown type"), "1011": closes(1011, ""), "4003": closes(4003, "idle"), "not JSON": sends("{"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
				s := r.serve(script)
				tail := r.tail(r.client, r.params)
				time.Sleep(time.Hour)
				tail.oneError(ids[0])
				assert.Len(t, s.received(), 1)
				tail.end()
			})
		})
	}
}

func TestTail_RenewsToken(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(t *testing.T, r *rig, ids []string) {
		tail := r.tail(r.client, r.params)
		time.Sleep(53 * time.Minute)
		assert.Equal(t, 1, r.count(opToken))
		assert.Equal(t, 2, r.count(opLogs))
		time.Sleep(2 * time.Minute)
		assert.Equal(t, 2, r.count(opToken))
		assert.Equal(t, 4, r.count(opLogs))
		time.Sleep(6 * time.Hour)
		assert.Equal(t, 8, r.count(opToken))
		for _, id := range ids {
			r.log(id, id)
		}
		assert.ElementsMatch(t, ids, tail.lines())
		tail.end()
	})
}

func TestTail_StopsOldStreamBeforeRenewedOne(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, _ []string) {
		s := r.serve(silent)
		tail := r.tail(r.client, r.params)
		time.Sleep(time.Hour)
		tail.end()
		const start = `{"type":"start_streaming","filters":{}}`
		assert.Equal(t, []string{start, stop, closed, start, stop, closed}, s.takeFrames())
		token := func(i int) string { return s.received()[i].URL.Query().Get("access_token") }
		assert.NotEqual(t, token(0), token(1))
	})
}

func TestTail_FailedRenewals(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		tail := r.tail(r.client, r.params)
		r.Inject(tunneltest.Fault{
			Operation: opToken,
			Status:    http.StatusForbidden,
			Times:     tunneltest.Always,
		})
		time.Sleep(58 * time.Minute)
		r.log(ids[0], "on the old token")
		assert.Equal(t, []string{"on the old token"}, tail.lines())
		r.logs.cut() // the old token is still valid for a new stream
		time.Sleep(time.Minute)
		r.log(ids[0], "still")
		assert.Equal(t, []string{"still"}, tail.lines())
		r.ClearFaults()
		time.Sleep(3 * time.Minute)
		r.log(ids[0], "renewed")
		assert.Equal(t, []string{"renewed"}, tail.lines())
		assert.Empty(t, tail.errors())
		tail.end()
	})
}

// If the machine was asleep, a token can be older than the timers say.
func TestTail_RefusedToken(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		tail := r.tail(r.client, r.params)
		time.Sleep(10 * time.Minute)
		r.Inject(tunneltest.Fault{Operation: opLogs, Status: http.StatusUnauthorized})
		r.logs.cut()
		time.Sleep(time.Minute)
		r.log(ids[0], "a line")
		assert.Equal(t, []string{"a line"}, tail.lines())
		assert.Equal(t, 2, r.count(opToken))
		tail.end()
	})
}

func TestTail_LoopEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(t *testing.T, r *rig, ids []string) {
		other := r.clientOf(r.AddToken(tunneltest.Token{}))
		ctx, cancel := context.WithCancel(t.Context())
		entries := tunnellogs.Tail(ctx, r.client, r.tunnel.ID, r.params)
		for range 2 { // the iterator can be used again
			go func() {
				time.Sleep(time.Second)
				r.log(ids[0], "a line")
			}()
			for entry, err := range entries {
				require.NoError(t, err)
				assert.Equal(t, ids[0], entry.ConnectorID)
				break
			}
			synctest.Wait()          // until the fake has read the stops
			for _, id := range ids { // no session is left open
				stream, err := tunnellogs.Open(ctx, other, r.tunnel.ID, id, r.params)
				require.NoError(t, err)
				_, err = stream.Next(expiring(t))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.NoError(t, stream.Close())
			}
			synctest.Wait()
		}
		assert.Panics(t, func() {
			go func() {
				time.Sleep(time.Second)
				r.log(ids[0], "a line")
			}()
			for range entries {
				panic("in the loop")
			}
		})
		cancel()
		var errs []error
		for _, err := range entries {
			errs = append(errs, err)
		}
		assert.Equal(t, []error{context.Canceled}, errs)
	})
}

// expiring returns a context that ends after a second.
func expiring(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestTail_SlowLoop(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(t *testing.T, r *rig, ids []string) {
		ctx, cancel := context.WithCancel(t.Context())
		entries := 0
		go func() {
			for range 1000 {
				r.log(ids[0], "x")
				r.log(ids[1], "x")
				time.Sleep(time.Second)
			}
			cancel()
		}()
		for _, err := range tunnellogs.Tail(ctx, r.client, r.tunnel.ID, r.params) {
			if err != nil {
				require.ErrorIs(t, err, context.Canceled)
				continue
			}
			entries++
			time.Sleep(20 * time.Second)
		}
		assert.InDelta(t, 50, entries, 2)
	})
}

func TestOpen_FedRAMPEndpoint(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		for issuer, host := range map[string]string{
			"tunnelstore": "management.argotunnel.com", "fed-tunnelstore": "management.fed.argotunnel.com", "": "management.argotunnel.com",
		} {
			claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"iss":%q}`, issuer))
			r.Inject(tunneltest.Fault{Operation: opToken, Body: fmt.Sprintf(
				`{"success":true,"errors":[],"messages":[],"result":"eyJhbGciOiJFUzI1NiJ9.%s.AAAA"}`,
				claims,
			)})
			var asked string
			params := tunnellogs.Params{
				HTTPClient: &http.Client{
					Transport: roundTripFunc(func(request *http.Request) (*http.Response, error) {
						asked = request.URL.Scheme + "://" + request.URL.Host + request.URL.Path
						return nil, errRefused
					}),
				},
			}
			_, err := tunnellogs.Open(t.Context(), r.client, r.tunnel.ID, ids[0], params)
			require.ErrorIs(t, err, errRefused)
			assert.Equal(t, "https://"+host+"/logs", asked)
		}
	})
}

func TestTail_TokenLifetime(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		claims string
		renews time.Duration
	}{
		"ten minutes":              {`{"iat":1000,"exp":1600}`, 9 * time.Minute},
		"from another clock":       {`{"iat":99999999999,"exp":99999999999.5}`, 54 * time.Minute},
		"a day":                    {`{"iat":1000,"exp":87400}`, 54 * time.Minute},
		"no claims":                {`{}`, 54 * time.Minute},
		"no issue time":            {`{"exp":1600}`, 54 * time.Minute},
		"expires before its issue": {`{"iat":1000,"exp":1}`, 54 * time.Minute},
		"not JSON":                 {`{`, 54 * time.Minute},
		"numbers out of range":     {`{"iat":-1e308,"exp":1e308}`, 54 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, 1, func(t *testing.T, r *rig, _ []string) {
				s := r.serve(silent)
				claims := base64.RawURLEncoding.EncodeToString([]byte(test.claims))
				token := "eyJhbGciOiJFUzI1NiJ9." + claims + ".AAAA"
				r.Inject(tunneltest.Fault{Operation: opToken, Times: tunneltest.Always,
					Body: `{"success":true,"errors":[],"messages":[],"result":"` + token + `"}`})
				tail := r.tail(r.client, r.params)
				time.Sleep(test.renews - time.Second)
				assert.Len(t, s.received(), 1)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				assert.Len(t, s.received(), 2)
				tail.end()
			})
		})
	}
}

func TestTail_ReconnectWithoutToken(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]error{http.StatusBadGateway: nil, http.StatusForbidden: cftunnel.ErrForbidden} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
				tail := r.tail(r.client, r.params)
				r.Inject(
					tunneltest.Fault{Operation: opToken, Status: status, Times: tunneltest.Always},
				)
				time.Sleep(61 * time.Minute) // the token has expired; that ends no stream
				r.log(ids[0], "a line")
				assert.Equal(t, []string{"a line"}, tail.lines())
				r.logs.cut()
				time.Sleep(10 * time.Minute)
				if want != nil {
					require.ErrorIs(t, tail.oneError(ids[0]), want)
					tail.end()
					return
				}
				r.ClearFaults()
				time.Sleep(2 * time.Minute)
				r.log(ids[0], "again")
				assert.Equal(t, []string{"again"}, tail.lines())
				tail.end()
			})
		})
	}
}
