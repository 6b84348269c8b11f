package main

import (
	"context"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"strings"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

func hasRoutes(t *tunnel) bool { return !t.Deleted && len(t.routeIDs) > 0 }

// newNetwork returns a CIDR that is unique, because it has a hash of the worker's name.
func (w *worker) newNetwork() netip.Prefix {
	w.names++
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(w.name))
	var addr [16]byte
	addr[0], addr[5], addr[6] = 0xfd, byte(w.names>>8), byte(w.names)
	copy(addr[1:], hash.Sum(nil))
	return netip.PrefixFrom(netip.AddrFrom16(addr), 56)
}

// route returns the network and the ID of a random route of a tunnel.
func (w *worker) route(t *tunnel) (network, id string) {
	networks := slices.Sorted(maps.Keys(t.routeIDs))
	network = networks[w.rng.IntN(len(networks))]
	return network, t.routeIDs[network]
}

// rerouted returns the outcome that one network is removed and another one is added. Either may be
// empty.
func rerouted(gone, added string) outcome {
	return func(want *state, _ state) {
		isGone := func(network string) bool { return network == gone }
		networks := slices.DeleteFunc(strings.Fields(want.Routes), isGone)
		if added != "" {
			networks = append(networks, added)
		}
		slices.Sort(networks)
		want.Routes = strings.Join(networks, " ")
	}
}

// addRoute creates a route with Ensure or Create.
func (w *worker) addRoute(t *tunnel) error {
	params := cftunnel.RouteCreateParams{Network: w.newNetwork(), TunnelID: t.id}
	name, do := "Routes.Create", func(ctx context.Context, opts ...option) error {
		_, err := w.client(t).Routes.Create(ctx, params, opts...)
		return err
	}
	if w.chance(50) {
		name, do = "Routes.Ensure", func(ctx context.Context, opts ...option) error {
			_, _, err := w.client(t).Routes.Ensure(ctx, params, opts...)
			return err
		}
	}
	_, err := w.write(name, t, do, nil, rerouted("", params.Network.String()))
	return err
}

// moveRoute changes the network of a route.
func (w *worker) moveRoute(t *tunnel) error {
	old, id := w.route(t)
	params := cftunnel.RouteUpdateParams{Network: w.newNetwork()}
	_, err := w.write("Routes.Update", t, func(ctx context.Context, opts ...option) error {
		_, err := w.client(t).Routes.Update(ctx, id, params, opts...)
		return err
	}, nil, rerouted(old, params.Network.String()))
	return err
}

func (w *worker) deleteRoute(t *tunnel) error {
	old, id := w.route(t)
	_, err := w.write("Routes.Delete", t, func(ctx context.Context, opts ...option) error {
		_, err := w.client(t).Routes.Delete(ctx, id, opts...)
		return err
	}, nil, rerouted(old, ""))
	return err
}
