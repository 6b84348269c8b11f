package cftunnel_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// fakeState is the state of the fake as text, one line for each object. Values that change without
// a write are left out.
type fakeState string

// state reads the state of the fake, without faults.
func (s *sequence) state() fakeState {
	s.t.Helper()
	ctx := s.t.Context()
	var lines []string
	add := func(kind string, fields ...any) {
		lines = append(lines, kind+" "+strings.TrimSuffix(fmt.Sprintln(fields...), "\n"))
	}
	for _, deleted := range []bool{false, true} {
		tunnels := cftunnel.AllTypesListParams{IsDeleted: new(deleted)}
		for tunnel, err := range s.oracle.Tunnels.AllTypes(ctx, tunnels) {
			s.check(err)
			add("tunnel", tunnel.ID, tunnel.Type, tunnel.ConfigSource, deleted, tunnel.Name)
			if deleted {
				continue
			}
			if tunnel.Type == cftunnel.TunnelTypeWARPConnector {
				token, err := s.oracle.WARPConnectors.Token(ctx, tunnel.ID)
				s.check(err)
				config, err := s.oracle.WARPConnectors.Configuration(ctx, tunnel.ID)
				s.check(err)
				add("warp", tunnel.ID, token.Reveal(), *config)
				connectors, err := s.oracle.WARPConnectors.Connectors(ctx, tunnel.ID)
				s.check(err)
				for _, c := range connectors {
					add("machine", tunnel.ID, c.ID, c.HAStatus)
				}
				continue
			}
			token, err := s.oracle.Tunnels.Token(ctx, tunnel.ID)
			s.check(err)
			config, err := s.oracle.Tunnels.Configuration(ctx, tunnel.ID)
			s.check(err)
			add("configuration", tunnel.ID, token.Reveal(), config.Version)
		}
		routes := cftunnel.RouteListParams{IsDeleted: new(deleted)}
		for route, err := range s.oracle.Routes.All(ctx, routes) {
			s.check(err)
			add("route", route.ID, deleted, route.Network, route.TunnelID, route.VirtualNetworkID,
				route.Comment)
		}
		networks := cftunnel.VirtualNetworkListParams{IsDeleted: new(deleted)}
		for n, err := range s.oracle.VirtualNetworks.All(ctx, networks) {
			s.check(err)
			add("network", n.ID, deleted, n.Name, n.IsDefault, n.Comment)
		}
		hostnames := cftunnel.HostnameRouteListParams{IsDeleted: new(deleted)}
		for route, err := range s.oracle.HostnameRoutes.All(ctx, hostnames) {
			s.check(err)
			add("hostname", route.ID, deleted, route.Hostname, route.TunnelID, route.Comment)
		}
	}
	records := s.oracle.DNSRecords.All(ctx, s.fixture.Zone, cftunnel.DNSRecordListParams{})
	for record, err := range records {
		s.check(err)
		add("record", record.ID, record.Type, record.Name, record.Content, record.TTL,
			record.Proxied, record.Comment)
	}
	for _, tokens := range []*cftunnel.APITokensService{s.oracle.UserTokens, s.oracle.AccountTokens} {
		for token, err := range tokens.All(ctx, cftunnel.APITokenListParams{IncludeExpired: true}) {
			s.check(err)
			add("token", token.ID, token.Status, token.ModifiedOn, token.Policies, token.Name)
		}
	}
	slices.Sort(lines)
	return fakeState(strings.Join(lines, "\n"))
}

// ids returns the IDs of all objects of one kind, deleted ones too.
func (f fakeState) ids(kind string) (ids []string) {
	for line := range strings.Lines(string(f)) {
		if fields := strings.Fields(line); fields[0] == kind {
			ids = append(ids, fields[1])
		}
	}
	return slices.Compact(ids)
}

// pickFixture chooses the objects that the next call uses.
func (s *sequence) pickFixture(state fakeState) {
	f := &s.fixture
	for _, choice := range []struct {
		target *string
		kind   string
	}{
		{&f.Tunnel, "tunnel"}, {&f.Idle, "tunnel"}, {&f.WARP, "warp"}, {&f.IdleWARP, "warp"},
		{&f.Route, "route"}, {&f.HostnameRoute, "hostname"}, {&f.VirtualNetwork, "network"},
		{&f.Record, "record"},
	} {
		// About half of the time keep the object. Else choose another one, or one that does not
		// exist.
		switch pick := s.input.next(); {
		case pick < 128:
		case pick < 136:
			*choice.target = tunnelID
			if choice.kind == "record" {
				*choice.target = zoneID
			}
		default:
			if ids := state.ids(choice.kind); len(ids) > 0 {
				*choice.target = ids[int(pick)%len(ids)]
			}
		}
	}
	names := []string{"free", "taken", "idle", "warp", "other"}
	f.Free = names[s.input.below(len(names))]
	f.Name = names[s.input.below(len(names))]
}

// sequenceFaults is the number of kinds of faults. Kinds that fault does not list are no fault.
const sequenceFaults = 40

// inject injects up to four faults and returns their names. A real server does not reject a write
// that it carried out: after a fault that hides whether a write was carried out, inject skips the
// faults that reject it.
func (s *sequence) inject() (names []string) {
	hidden := false
	s.claimed = false
	for _, kind := range s.faultKinds() {
		name, fault, hides := s.fault(kind, hidden)
		hidden = hidden || hides
		if name == "" {
			continue
		}
		names = append(names, name)
		if name != "refused" {
			s.srv.Inject(fault)
		}
	}
	return names
}

// faultKinds chooses the kinds of faults: none, some, or one that hides whether a write was carried
// out, mostly followed by an inconclusive one.
func (s *sequence) faultKinds() (kinds []int) {
	switch s.input.below(4) {
	case 0:
		return nil
	case 1:
		for range s.input.below(5) {
			kinds = append(kinds, s.input.below(sequenceFaults))
		}
		return kinds
	}
	hiding := []int{2, 3, 3, 3, 4, 5, 8}
	inconclusive := []int{1, 1, 16, 17, 18, 19, 21, 22, 30}
	kinds = []int{hiding[s.input.below(len(hiding))], inconclusive[s.input.below(len(inconclusive))]}
	if s.input.below(4) == 0 {
		kinds = kinds[:1]
	}
	return kinds
}

// fault returns the fault of a kind. hidden says that an earlier fault hides whether a write was
// carried out, and hides says that this one does.
func (s *sequence) fault(kind int, hidden bool) (name string, fault tunneltest.Fault, hides bool) {
	type f = tunneltest.Fault
	retryAfter := func(seconds string) http.Header { return http.Header{"Retry-After": {seconds}} }
	unread := []int{401, 403, 408, 425} // the API may send these before it looks at the request
	gateways := []int{300, 301, 302, 307, 407, 421, 426, 431}
	conclusive := []int{400, 402, 405, 409, 410, 412, 413, 415, 422, 451}
	switch kind {
	case 0:
		return "", f{}, false
	case 1:
		s.refuse += 1 + s.input.below(6)
		return "refused", f{}, false
	case 2:
		return "cut before", f{Cut: tunneltest.CutBefore}, true
	case 3:
		return "cut after", f{Cut: tunneltest.CutAfter}, true
	case 4:
		return "cut inside", f{Cut: tunneltest.CutInside}, true
	case 5:
		return "too late", f{Delay: 40 * time.Second}, true
	case 6:
		return "late", f{Delay: time.Duration(s.input.below(256)) * 100 * time.Millisecond}, true
	case 7, 8, 9, 10:
		status := []int{500, 502, 503, 504, 520, 524, 530, 501, 505, 511}[s.input.below(10)]
		body := []string{"", loginPage, refusalBody(1)}[s.input.below(3)]
		return fmt.Sprint(status), f{Status: status, Work: kind%2 == 0, Body: body}, true
	case 11:
		return "503, long Retry-After", f{Status: 503, Header: retryAfter("300")}, true
	case 12, 13:
		return "429", f{Status: 429}, false
	case 14:
		return "429, Retry-After 3 s",
			f{Status: 429, Header: retryAfter("3"), Body: refusalBody(10429)}, false
	case 15:
		return "429, long Retry-After", f{Status: 429, Header: retryAfter("300")}, false
	case 16, 17:
		status := unread[s.input.below(len(unread))]
		return fmt.Sprint(status), f{Status: status, Body: []string{loginPage, refusalBody(1)}[kind%2]}, false
	case 18:
		status := gateways[s.input.below(len(gateways))]
		header := http.Header{"Location": {"/login"}}
		return fmt.Sprint(status),
			f{Status: status, Header: header, Body: `{"error":"blocked"}`}, false
	case 19, 20:
		status := append(conclusive, 404)[s.input.below(len(conclusive)+1)]
		return fmt.Sprint(status, " in HTML"), f{Status: status, Body: loginPage}, false
	case 21:
		return "404 without a route", f{Status: 404, Body: refusalBody([]int{7000, 7003}[s.input.below(2)])}, false
	case 22:
		return "400 about the credentials", f{Status: 400, Body: refusalBody(6003)}, false
	case 23, 24:
		status := conclusive[s.input.below(len(conclusive))]
		if hidden {
			return "", f{}, false
		}
		return fmt.Sprint(status, " of the API"), f{Status: status, Body: refusalBody(1)}, false
	case 25:
		if hidden {
			return "", f{}, false
		}
		return "409 about the name", f{Status: 409, Body: refusalBody(1013)}, false
	case 26, 27, 28, 29:
		body := []string{
			" ", loginPage, `{"success":true,"errors":[],"messages":[],"res`, `{}`, `[]`,
			`{"success":true,"result":null}`, `{"result":{}}`,
		}[s.input.below(7)]
		s.claimed = s.claimed || strings.Contains(body, "null")
		return "200 " + body, f{Body: body, Work: kind%2 == 0 || s.claimed}, true
	case 30:
		return "200, failure", f{Status: 200, Body: refusalBody(1)}, false
	case 31:
		s.claimed = true
		body := ok(`{"id":"` + otherID + `","name":"else","tunnel_id":"` + otherID + `"}`)
		return "another tunnel", f{Status: 200, Work: true, Body: body}, true
	case 32:
		return "connection closes", f{Header: http.Header{"Connection": {"close"}}}, false
	case 33:
		return "headers of 2 MiB",
			f{Header: http.Header{"X-Much": {strings.Repeat("x", 2<<20)}}}, true
	case 34:
		return "404 in HTML", f{Status: 404, Body: loginPage}, false
	}
	return "", f{}, false
}
