package cftunnel_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// hostileLimit is much longer than all calls for a configuration need.
const hostileLimit = 20 * time.Second

// hostileConfigs are stored configurations that take minutes if the work for them grows faster than
// their length, or if their paths are compiled.
func hostileConfigs() map[string]string {
	rules := func(n int, rule func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(rule(i) + ",")
		}
		return `{"ingress":[` + b.String() + `{"service":"http_status:404"}]}`
	}
	var runes strings.Builder
	for r := rune(0x4e00); runes.Len() < 400_000; r++ {
		if r < 0xd800 || r > 0xdfff {
			runes.WriteRune(r)
		}
	}
	const undecodable = `{"connectTimeout":"x","tlsTimeout":"x","tcpKeepAlive":"x","proxyPort":"x",` +
		`"keepAliveTimeout":"x","keepAliveConnections":"x","noTLSVerify":"x","noHappyEyeballs":1,` +
		`"disableChunkedEncoding":1,"http2Origin":"x","bastionMode":1,"caPool":1,"httpHostHeader":1,` +
		`"originServerName":1,"proxyAddress":1,"proxyType":1,"matchSNItoHost":1}`
	return map[string]string{
		"paths": rules(2000, func(i int) string {
			return fmt.Sprintf(`{"service":"http://a","hostname":"h%d.example.com","path":"%s"}`,
				i, strings.Repeat("x{1000}", 100))
		}),
		"bad values": rules(9000, func(i int) string {
			return fmt.Sprintf(`{"service":"x%d","hostname":"a:%d","path":"[%d",`+
				`"originRequest":{"connectTimeout":-%d,"proxyPort":-%d}}`,
				i, i, i, i, i)
		}),
		"undecodable values": rules(7000, func(int) string {
			return `{"service":"http://a","hostname":"h.example.com","originRequest":` +
				undecodable + `}`
		}),
		"a label": rules(1, func(int) string {
			return `{"service":"http://a","hostname":"` + runes.String() + `"}`
		}),
		"labels": rules(1, func(int) string {
			return `{"service":"http://a","hostname":"` + strings.Repeat("a.", 1_200_000) + `com"}`
		}),
	}
}

func TestConfigurations_HostileRules(t *testing.T) {
	t.Parallel()
	for name, config := range hostileConfigs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t)
			for i := range 20 {
				p.SeedZone(fmt.Sprintf("zone%d.example.org", i))
			}
			serveConfiguration(p.Server, config)
			ctx, cancel := context.WithTimeout(t.Context(), hostileLimit)
			defer cancel()
			// The fake refuses some of these configurations when they are written back.
			_, _ = p.client.Tunnels.ModifyConfiguration(ctx, p.tunnelID,
				func(c *cftunnel.TunnelConfig) error {
					c.OriginRequest = &cftunnel.OriginRequest{NoTLSVerify: new(true)}
					return nil
				})
			_, err := p.client.Hostnames.List(ctx, p.tunnelID)
			require.NoError(t, err)
			params := cftunnel.PublishParams{Hostname: "app.example.com", Service: service}
			_, _ = p.client.Hostnames.Publish(ctx, p.tunnelID, params)
			assert.NotEmpty(t, sentConfigurations(p.Server))
			assert.NoError(t, ctx.Err())
		})
	}
}
