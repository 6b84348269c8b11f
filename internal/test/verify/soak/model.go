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

// model is what one worker expects of its tunnels and its API token, which no other worker touches.
type model struct {
	tunnels []*tunnel
	token   *apiToken // nil if there is none
	// attempts is by call, of calls that send only one request. The key is the value of callHeader.
	attempts map[string]int
}

type tunnel struct {
	account int // index of the client
	id      string
	newName string // to find it by before its id is known
	state
	oldToken   cftunnel.Secret   // before the last rotation
	connectors map[string]bool   // those that run, and whether they have the present token
	routeIDs   map[string]string // by network
}

// state is what can be read of a tunnel, in a form that can be compared.
type state struct {
	Name    string
	Status  cftunnel.TunnelStatus
	Deleted bool
	Token   cftunnel.Secret // zero for a deleted tunnel, and so on
	Version int
	Config  string
	Running string // the connectors' ids
	Routes  string // their networks
}

func (t *tunnel) String() string { return cmp.Or(t.Name, t.newName) }

// run sets the connectors of a state.
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

// current returns the connectors with the present token: a clean-up does not end these.
func (t *tunnel) current() map[string]bool {
	list := maps.Clone(t.connectors)
	maps.DeleteFunc(list, func(_ string, current bool) bool { return !current })
	return list
}

// differences lists the fields that are not as expected.
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
		list = append(list, "the token is another one")
	}
	add("version", s.Version, want.Version)
	add("config", s.Config, want.Config)
	add("connectors", s.Running, want.Running)
	add("routes", s.Routes, want.Routes)
	return list
}

// read is a call that reads a part of a tunnel's state.
type read struct {
	name string
	do   func(ctx context.Context, s *state, opts ...option) error
}

// reads returns the calls that read all of a tunnel's state. The first is Get.
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
			for route, err := range c.Routes.All(ctx, cftunnel.RouteListParams{TunnelID: t.id, PerPage: 3}, opts...) {
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
