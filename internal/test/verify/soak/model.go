package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// model is the expected state of one worker's tunnels and API token. No other worker changes them.
type model struct {
	tunnels []*tunnel
	token   *apiToken // nil if there is none
	// attempts is the number of attempts of each call that sends one kind of request; 0 for other
	// calls. The key is the value of callHeader.
	attempts map[string]int
}

type tunnel struct {
	account int    // the index of the client
	id      string // empty until it is known
	newName string // the name to find the tunnel by before its ID is known
	state
	oldToken   cftunnel.Secret   // the token before the last rotation
	connectors map[string]bool   // for each running connector, whether it has the current token
	routeIDs   map[string]string // by network
}

// state is the state of a tunnel, in a form that can be compared. For a deleted tunnel, all fields
// from Token on are zero.
type state struct {
	Name    string
	Status  cftunnel.TunnelStatus
	Deleted bool
	Token   cftunnel.Secret
	Version int
	Config  string
	Running string // the IDs of the connectors
	Routes  string // the networks of the routes
}

func (t *tunnel) String() string { return cmp.Or(t.Name, t.newName) }

// run sets the running connectors, and the status accordingly.
func (s *state) run(connectors map[string]bool) {
	s.Running = strings.Join(slices.Sorted(maps.Keys(connectors)), " ")
	switch {
	case len(connectors) > 0:
		s.Status = cftunnel.TunnelStatusHealthy
	case s.Status == cftunnel.TunnelStatusHealthy:
		s.Status = cftunnel.TunnelStatusDown
	}
}

func (s *state) delete() {
	s.run(nil)
	s.Deleted, s.Token, s.Version, s.Config, s.Routes = true, cftunnel.Secret{}, 0, "", ""
}

// current returns the connectors with the current token. A cleanup of connections does not end
// them.
func (t *tunnel) current() map[string]bool {
	list := maps.Clone(t.connectors)
	maps.DeleteFunc(list, func(_ string, current bool) bool { return !current })
	return list
}

// differences lists the fields that differ from want.
func (s state) differences(want state) (list []string) {
	add := func(name string, got, want any) {
		if got != want {
			list = append(list, fmt.Sprintf("%s is %v, want %v", name, got, want))
		}
	}
	add("name", s.Name, want.Name)
	add("status", s.Status, want.Status)
	add("deleted", s.Deleted, want.Deleted)
	if s.Token != want.Token {
		list = append(list, "token is a different one")
	}
	add("version", s.Version, want.Version)
	add("config", s.Config, want.Config)
	add("connectors", s.Running, want.Running)
	add("routes", s.Routes, want.Routes)
	return list
}

// read is a call that gets a part of a tunnel's state.
type read struct {
	name string
	do   func(ctx context.Context, s *state, opts ...option) error
}

// reads returns the calls that get all of a tunnel's state. The first one is Get.
func (t *tunnel) reads(c *cftunnel.Client) []read {
	return []read{
		{"Get", func(ctx context.Context, s *state, opts ...option) error {
			got, err := c.Tunnels.Get(ctx, t.id, opts...)
			if err == nil {
				s.Name, s.Status, s.Deleted = got.Name, got.Status, got.IsDeleted()
			}
			return err
		}},
		{"Token", func(ctx context.Context, s *state, opts ...option) (err error) {
			s.Token, err = c.Tunnels.Token(ctx, t.id, opts...)
			return err
		}},
		{"Configuration", func(ctx context.Context, s *state, opts ...option) error {
			got, err := c.Tunnels.Configuration(ctx, t.id, opts...)
			if err == nil {
				s.Version, s.Config = got.Version, text(got.Config)
			}
			return err
		}},
		{"Connectors", func(ctx context.Context, s *state, opts ...option) error {
			connectors, err := c.Connectors.List(ctx, t.id, opts...)
			ids := map[string]bool{}
			for _, connector := range connectors {
				ids[connector.ID] = true
			}
			s.Running = strings.Join(slices.Sorted(maps.Keys(ids)), " ")
			return err
		}},
		{"Routes.All", func(ctx context.Context, s *state, opts ...option) error {
			ids := map[string]string{}
			params := cftunnel.RouteListParams{TunnelID: t.id, PerPage: 3}
			for route, err := range c.Routes.All(ctx, params, opts...) {
				if err != nil {
					return err
				}
				ids[route.Network.String()] = route.ID
			}
			s.Routes, t.routeIDs = strings.Join(slices.Sorted(maps.Keys(ids)), " "), ids
			return nil
		}},
	}
}

func text(config cftunnel.TunnelConfig) string {
	encoded, err := json.Marshal(config)
	if err != nil {
		panic(err) // configurations always encode
	}
	return string(encoded)
}
