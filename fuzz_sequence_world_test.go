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

// world is what the fake keeps, as text: one line for each thing. What changes by itself is left out.
type world string

// world reads everything without a network.
func (s *sequence) world() world {
	s.t.Helper()
	ctx := s.t.Context()
	var lines []string
	add := func(kind string, fields ...any) {
		lines = append(lines, kind+" "+strings.TrimSuffix(fmt.Sprintln(fields...), "\n"))
	}
	for _, deleted := range []bool{false, true} {
		for tunnel, err := range s.oracle.Tunnels.AllTypes(ctx, cftunnel.AllTypesListParams{IsDeleted: new(deleted)}) {
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
		for route, err := range s.oracle.Routes.All(ctx, cftunnel.RouteListParams{IsDeleted: new(deleted)}) {
			s.check(err)
			add("route", route.ID, deleted, route.Network, route.TunnelID, route.VirtualNetworkID, route.Comment)
		}
		for n, err := range s.oracle.VirtualNetworks.All(ctx, cftunnel.VirtualNetworkListParams{IsDeleted: new(deleted)}) {
			s.check(err)
			add("network", n.ID, deleted, n.Name, n.IsDefault, n.Comment)
		}
		for route, err := range s.oracle.HostnameRoutes.All(ctx, cftunnel.HostnameRouteListParams{IsDeleted: new(deleted)}) {
			s.check(err)
			add("hostname", route.ID, deleted, route.Hostname, route.TunnelID, route.Comment)
		}
	}
	for record, err := range s.oracle.DNSRecords.All(ctx, s.fixture.Zone, cftunnel.DNSRecordListParams{}) {
		s.check(err)
		add("record", record.ID, record.Type, record.Name, record.Content, record.TTL, record.Proxied, record.Comment)
	}
	for _, tokens := range []*cftunnel.APITokensService{s.oracle.UserTokens, s.oracle.AccountTokens} {
		for token, err := range tokens.All(ctx, cftunnel.APITokenListParams{IncludeExpired: true}) {
			s.check(err)
			add("token", token.ID, token.Status, token.ModifiedOn, token.Policies, token.Name)
		}
	}
	slices.Sort(lines)
	return world(strings.Join(lines, "\n"))
}

// ids returns the IDs of one kind of thing, deleted ones too.
func (w world) ids(kind string) (ids []string) {
	for line := range strings.Lines(string(w)) {
		if fields := strings.Fields(line); fields[0] == kind {
			ids = append(ids, fields[1])
		}
	}
	return slices.Compact(ids)
}

// pickFixture chooses what the next call is about.
func (s *sequence) pickFixture(w world) {
	f := &s.fixture
	for _, choice := range []struct {
		target *string
		kind   string
	}{
		{&f.Tunnel, "tunnel"}, {&f.Idle, "tunnel"}, {&f.WARP, "warp"}, {&f.IdleWARP, "warp"},
		{&f.Route, "route"}, {&f.HostnameRoute, "hostname"}, {&f.VirtualNetwork, "network"}, {&f.Record, "record"},
	} {
		// Mostly what was there before; sometimes another, or one that does not exist.
		switch pick := s.input.next(); {
		case pick < 128:
		case pick < 136:
			*choice.target = tunnelID
			if choice.kind == "record" {
				*choice.target = "023e105f4ecef8ad9ca31a8372d0c353"
			}
		default:
			if ids := w.ids(choice.kind); len(ids) > 0 {
				*choice.target = ids[int(pick)%len(ids)]
			}
		}
	}
	names := []string{"free", "taken", "idle", "warp", "other"}
	f.Free = names[s.input.below(len(names))]
	f.Name = names[s.input.below(len(names))]
}

// sequenceFaults is how many kinds of faults there are.
const sequenceFaults = 40

// inject makes the next requests meet up to four faults, and returns what they are. A server that
// refuses what it has done would be lying, so none does after a fault that hides what was done.
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

// faultKinds chooses numbers of faults: none, some, or one that hides what was done and then one that
// says nothing about it.
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
	silent := []int{1, 1, 16, 17, 18, 19, 21, 22, 30}
	kinds = []int{hiding[s.input.below(len(hiding))], silent[s.input.below(len(silent))]}
	if s.input.below(4) == 0 {
		kinds = kinds[:1]
	}
	return kinds
}

// fault returns a fault by its number. hidden says that an earlier one hides what was done.
func (s *sequence) fault(kind int, hidden bool) (name string, fault tunneltest.Fault, hides bool) {
	type f = tunneltest.Fault
	retryAfter := func(seconds string) http.Header { return http.Header{"Retry-After": {seconds}} }
	unlooked := []int{401, 403, 408, 425} // which the API refuses without a look
	gateways := []int{300, 301, 302, 307, 407, 421, 426, 431}
	settling := []int{400, 402, 405, 409, 410, 412, 413, 415, 422, 451}
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
		return fmt.Sprint(status), f{Status: status, Work: kind%2 == 0, Body: []string{"", loginPage, refusalBody(1)}[s.input.below(3)]}, true
	case 11:
		return "503 for long", f{Status: 503, Header: retryAfter("300")}, true
	case 12, 13:
		return "429", f{Status: 429}, false
	case 14:
		return "429 for 3 s", f{Status: 429, Header: retryAfter("3"), Body: refusalBody(10429)}, false
	case 15:
		return "429 for long", f{Status: 429, Header: retryAfter("300")}, false
	case 16, 17:
		status := unlooked[s.input.below(len(unlooked))]
		return fmt.Sprint(status), f{Status: status, Body: []string{loginPage, refusalBody(1)}[kind%2]}, false
	case 18:
		status := gateways[s.input.below(len(gateways))]
		return fmt.Sprint(status), f{Status: status, Header: http.Header{"Location": {"/login"}}, Body: `{"error":"blocked"}`}, false
	case 19, 20:
		status := append(settling, 404)[s.input.below(len(settling)+1)]
		return fmt.Sprint(status, " in HTML"), f{Status: status, Body: loginPage}, false
	case 21:
		return "404 without a route", f{Status: 404, Body: refusalBody([]int{7000, 7003}[s.input.below(2)])}, false
	case 22:
		return "400 of the credentials", f{Status: 400, Body: refusalBody(6003)}, false
	case 23, 24:
		status := settling[s.input.below(len(settling))]
		if hidden {
			return "", f{}, false
		}
		return fmt.Sprint(status, " of the API"), f{Status: status, Body: refusalBody(1)}, false
	case 25:
		if hidden {
			return "", f{}, false
		}
		return "409 of the name", f{Status: 409, Body: refusalBody(1013)}, false
	case 26, 27, 28, 29:
		body := []string{" ", loginPage, `{"success":true,"errors":[],"messages":[],"res`, `{}`, `[]`, `{"success":true,"result":null}`, `{"result":{}}`}[s.input.below(7)]
		s.claimed = s.claimed || strings.Contains(body, "null")
		return "200 " + body, f{Body: body, Work: kind%2 == 0 || s.claimed}, true
	case 30:
		return "a failure with 200", f{Status: 200, Body: refusalBody(1)}, false
	case 31:
		s.claimed = true
		return "another tunnel", f{Status: 200, Work: true, Body: ok(`{"id":"` + otherID + `","name":"else","tunnel_id":"` + otherID + `"}`)}, true
	case 32:
		return "connection closes", f{Header: http.Header{"Connection": {"close"}}}, false
	case 33:
		return "headers of 2 MiB", f{Header: http.Header{"X-Much": {strings.Repeat("x", 2<<20)}}}, true
	case 34:
		return "404 in HTML", f{Status: 404, Body: loginPage}, false
	}
	return "", f{}, false
}
