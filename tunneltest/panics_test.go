package tunneltest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// Each panic names the function or option, and says what is wrong.
func TestInvalidArguments(t *testing.T) {
	t.Parallel()
	f := start(t)
	handler := http.HandlerFunc(echoApp)
	f.Handle("/taken", handler)
	option := func(opt tunneltest.Option) func() { return func() { tunneltest.NewServer(opt) } }
	handle := func(pattern string, handler http.Handler) func() {
		return func() { f.Handle(pattern, handler) }
	}
	seed := func(seed tunneltest.TunnelSeed) func() { return func() { f.Seed(seed) } }
	add := func(token tunneltest.Token) func() { return func() { f.AddToken(token) } }
	inject := func(fault tunneltest.Fault) func() { return func() { f.Inject(fault) } }
	const unfit = "has white space or other characters that a header cannot contain"
	for want, call := range map[string]func(){
		"NewServer: opts[0] is nil":                           option(nil),
		"WithAPIToken: the token " + unfit:                    option(tunneltest.WithAPIToken("a b")),
		"WithLatency: the delay must not be negative":         option(tunneltest.WithLatency(-1)),
		"WithRecordLimit: the limit must not be negative":     option(tunneltest.WithRecordLimit(-1)),
		`Handle: the pattern "GET" has no path`:               handle("GET", handler),
		"Handle: the handler is nil":                          handle("GET /nil", nil),
		`Handle: the pattern cannot be added: parsing "/cli`:  handle("/{", handler),
		`Handle: the pattern cannot be added: pattern "/clie`: handle("/taken", handler),
		"Seed: the name is blank":                             seed(tunneltest.TunnelSeed{Name: " \t"}),
		`Seed: unknown configuration source "foo"`:            seed(tunneltest.TunnelSeed{ConfigSource: "foo"}),
		"SeedTunnels: n must not be negative":                 func() { f.SeedTunnels(-1) },
		"AddToken: the text " + unfit:                         add(tunneltest.Token{Text: cftunnel.NewSecret("a b")}),
		`AddToken: unknown owner "x"`:                         add(tunneltest.Token{Owner: "x"}),
		"AddToken: the account ID is not 32 hexadecimal":      add(tunneltest.Token{AccountID: "x"}),
		"Inject: the number of times must not be negative":    inject(tunneltest.Fault{Times: -5}),
		"Inject: the delay must not be negative":              inject(tunneltest.Fault{Delay: -time.Second}),
		"Inject: unknown cut 9":                               inject(tunneltest.Fault{Cut: 9}),
		"Inject: unknown cut -1":                              inject(tunneltest.Fault{Cut: -1}),
	} {
		func() {
			defer func() {
				got := fmt.Sprint(recover())
				assert.True(t, strings.HasPrefix(got, "tunneltest: "+want), "%s: %s", want, got)
			}()
			call()
		}()
	}
	assert.PanicsWithValue(t, "tunneltest: Handle: the handler is nil",
		handle("GET /nil", http.HandlerFunc(nil)))

	f.fetch(f.accountPath("/cfd_tunnel")).result() // no fault was added
	assert.Empty(t, f.names("/cfd_tunnel"))
}
