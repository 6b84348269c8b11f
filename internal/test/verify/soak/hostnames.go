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

// siteName is the prefix of the names of tunnels with public hostnames.
const siteName = "site-"

// site is a worker's tunnel with public hostnames.
type site struct {
	tunnelID string            // empty until the first hostname is published
	services map[string]string // by hostname
}

func (w *worker) hostnames() *cftunnel.HostnamesService { return w.clients[0].Hostnames }

// repeatUntilDone repeats a call until it succeeds. An error ends the worker.
func (w *worker) repeatUntilDone(name string, do callFunc) error {
	// If a response is lost, the worker's own write can look like one of another client.
	conflict := cftunnel.ErrConcurrentUpdate
	for tries := 0; ; tries++ {
		err := w.call(name, do, conflict)
		if err == nil || tries == 200 || !isExplained(err) && !errors.Is(err, conflict) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// publish publishes a new hostname, or a published one with another service.
func (w *worker) publish() error {
	if w.site.tunnelID == "" {
		w.site.services = map[string]string{}
		err := w.repeatUntilDone("Ensure", func(ctx context.Context, opts ...option) error {
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
	// Each name is used once, so that the fake's request log shows if a record was created twice.
	params := cftunnel.PublishParams{
		Hostname: w.newName() + "." + zoneName,
		Service:  fmt.Sprintf("http://localhost:%d", 1+w.rng.IntN(9999)),
	}
	if hostname := w.publishedName(); hostname != "" && w.chance(30) {
		params.Hostname = hostname
	}
	err := w.repeatUntilDone("Publish", func(ctx context.Context, opts ...option) error {
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
	err := w.repeatUntilDone("Unpublish", func(ctx context.Context, opts ...option) error {
		return w.hostnames().Unpublish(ctx, w.site.tunnelID, hostname, opts...)
	})
	if err != nil {
		return err
	}
	delete(w.site.services, hostname)
	return w.checkSite()
}

// publishedName returns a random published hostname, or "" if there is none.
func (w *worker) publishedName() string {
	names := slices.Sorted(maps.Keys(w.site.services))
	if len(names) == 0 {
		return ""
	}
	return names[w.rng.IntN(len(names))]
}

// checkSite compares the public hostnames with those that the worker has published.
func (w *worker) checkSite() error {
	got := map[string]string{}
	err := w.mustRead("Hostnames", func(ctx context.Context, opts ...option) error {
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
		w.report("public hostnames are %v, want %v", got, w.site.services)
	}
	return err
}
