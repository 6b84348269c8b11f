package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// zoneName is the zone of every worker's hostnames. It belongs to the first account.
const zoneName = "example.com"

// siteName begins the names of the tunnels that serve hostnames.
const siteName = "site-"

// site is a worker's tunnel with public hostnames.
type site struct {
	tunnelID string            // empty until it is needed
	services map[string]string // by hostname
}

func (w *worker) hostnames() *cftunnel.HostnamesService { return w.clients[0].Hostnames }

// finish makes a call that can be repeated until it has succeeded. Its error ends the worker.
func (w *worker) finish(name string, do func(context.Context, ...cftunnel.CallOption) error) error {
	// A write whose response is lost can look like somebody else's.
	conflict := cftunnel.ErrConcurrentUpdate
	for tries := 0; ; tries++ {
		err := w.call(name, do, conflict)
		if err == nil || tries == 200 || !isExplained(err) && !errors.Is(err, conflict) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// publish publishes another hostname, or one of those that are published with another service.
func (w *worker) publish() error {
	if w.site.tunnelID == "" {
		w.site.services = map[string]string{}
		err := w.finish("Ensure", func(ctx context.Context, opts ...cftunnel.CallOption) error {
			t, _, err := w.clients[0].Tunnels.Ensure(ctx, cftunnel.TunnelCreateParams{
				Name: siteName + w.name, ConfigSource: cftunnel.ConfigSourceCloudflare,
			}, opts...)
			if err == nil {
				w.site.tunnelID = t.ID
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	// A name is not used again, so that the record shows if one was created twice.
	params := cftunnel.PublishParams{
		Hostname: w.newName() + "." + zoneName, Service: fmt.Sprintf("http://localhost:%d", 1+w.rng.IntN(9999)),
	}
	if hostname := w.publishedName(); hostname != "" && w.chance(30) {
		params.Hostname = hostname
	}
	err := w.finish("Publish", func(ctx context.Context, opts ...cftunnel.CallOption) error {
		_, err := w.hostnames().Publish(ctx, w.site.tunnelID, params, opts...)
		return err
	})
	if err != nil {
		return err
	}
	w.site.services[params.Hostname] = params.Service
	return w.checkSite()
}

func (w *worker) unpublish() error {
	hostname := w.publishedName()
	if hostname == "" {
		return nil
	}
	err := w.finish("Unpublish", func(ctx context.Context, opts ...cftunnel.CallOption) error {
		return w.hostnames().Unpublish(ctx, w.site.tunnelID, hostname, opts...)
	})
	if err != nil {
		return err
	}
	delete(w.site.services, hostname)
	return w.checkSite()
}

// publishedName returns one of the hostnames, or nothing if there is none.
func (w *worker) publishedName() string {
	names := slices.Sorted(maps.Keys(w.site.services))
	if len(names) == 0 {
		return ""
	}
	return names[w.rng.IntN(len(names))]
}

// checkSite compares what is served with what the worker has published.
func (w *worker) checkSite() error {
	got := map[string]string{}
	err := w.mustRead("Hostnames", func(ctx context.Context, opts ...cftunnel.CallOption) error {
		clear(got)
		list, err := w.hostnames().List(ctx, w.site.tunnelID, opts...)
		for _, h := range list {
			got[h.Hostname] = h.Service
			if h.DNS != cftunnel.DNSStateReady {
				got[h.Hostname] = string(h.DNS)
			}
		}
		return err
	})
	if err == nil && !maps.Equal(got, w.site.services) {
		w.report("it serves %v, want %v", got, w.site.services)
	}
	return err
}
