package main

import (
	"context"
	"fmt"
	"strings"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// hostname is a public hostname that a tunnel serves.
type hostname struct {
	Hostname string            `json:"hostname"`
	Path     string            `json:"path,omitempty"`
	Service  string            `json:"service"`
	DNS      cftunnel.DNSState `json:"dns"`
}

// readHostnames adds the public hostnames to e. It does nothing if the tunnel is locally managed.
func (e *entry) readHostnames(ctx context.Context, client *cftunnel.Client) error {
	if e.ConfigSource != cftunnel.ConfigSourceCloudflare {
		return nil
	}
	list, err := client.Hostnames.List(ctx, e.ID)
	if err != nil {
		e.HostnamesError = err.Error()
		return err
	}
	for _, h := range list {
		e.Hostnames = append(e.Hostnames, hostname{h.Hostname, h.Path, h.Service, h.DNS})
	}
	return nil
}

// hostnamesCell returns the hostnames without duplicates, or ? if they are unknown. The state of a
// DNS record follows its hostname, unless the record is ready.
func (e entry) hostnamesCell() string {
	if e.HostnamesError != "" || e.ConfigSource == cftunnel.ConfigSourceLocal {
		return "?"
	}
	var texts []string
	seen := map[string]bool{}
	for _, h := range e.Hostnames {
		text := h.Hostname
		if h.DNS != cftunnel.DNSStateReady {
			text += fmt.Sprintf(" (%s)", h.DNS)
		}
		if !seen[text] {
			seen[text] = true
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, ", ")
}

// seedHostnames publishes two hostnames and deletes the DNS record of one.
func seedHostnames(
	ctx context.Context, fake *tunneltest.Server, client *cftunnel.Client,
) error {
	zoneID := fake.SeedZone("example.com")
	for _, name := range []string{"blog", "shop"} {
		tunnel, err := client.Tunnels.FindByName(ctx, name)
		if err != nil {
			return err
		}
		published, err := client.Hostnames.Publish(ctx, tunnel.ID, cftunnel.PublishParams{
			Hostname: name + ".example.com", Service: "http://localhost:8080",
		})
		if err != nil {
			return err
		}
		if name == "shop" {
			err = client.DNSRecords.Delete(ctx, zoneID, published.RecordID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
