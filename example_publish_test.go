package cftunnel_test

import (
	"context"
	"fmt"
	"log"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// publishBlog serves a local service as blog.example.com and returns the token for cloudflared.
func publishBlog(ctx context.Context, client *cftunnel.Client) (cftunnel.Secret, error) {
	tunnel, _, err := client.Tunnels.Ensure(ctx, cftunnel.TunnelCreateParams{
		Name: "blog", ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		return cftunnel.Secret{}, err
	}
	_, err = client.Hostnames.Publish(ctx, tunnel.ID, cftunnel.PublishParams{
		Hostname: "blog.example.com", Service: "http://localhost:8080",
	})
	if err != nil {
		return cftunnel.Secret{}, err
	}
	return client.Tunnels.Token(ctx, tunnel.ID)
}

// unpublishPath removes the rule for one path of a hostname. The DNS record stays, so the hostname
// should have another rule.
func unpublishPath(
	ctx context.Context, client *cftunnel.Client, tunnelID, hostname, path string,
) error {
	removeRule := func(config *cftunnel.TunnelConfig) error {
		config.Ingress = slices.DeleteFunc(config.Ingress, func(rule cftunnel.IngressRule) bool {
			return rule.Hostname == hostname && rule.Path == path
		})
		return nil
	}
	_, err := client.Tunnels.ModifyConfiguration(ctx, tunnelID, removeRule)
	return err
}

func TestDocs_UnpublishPath(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	const hostname, service = "app.example.com", "http_status:200"
	p.published(cftunnel.PublishParams{Hostname: hostname, Service: service})
	p.published(cftunnel.PublishParams{Hostname: hostname, Path: "^/api", Service: service})
	require.NoError(t, unpublishPath(t.Context(), p.client, p.tunnelID, hostname, "^/api"))
	assert.Equal(t, []string{"app.example.com http_status:200", "http_status:404"}, p.rules())
}

// TestDocs_PublishingRequests compares the table of requests with what the fake received.
func TestDocs_PublishingRequests(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	const hostname, service = "app.example.com", "http_status:200"
	publish := func() error {
		_, err := p.publish(cftunnel.PublishParams{Hostname: hostname, Service: service})
		return err
	}
	unpublish := func() error {
		return p.client.Hostnames.Unpublish(t.Context(), p.tunnelID, hostname)
	}
	list := func() error {
		_, err := p.client.Hostnames.List(t.Context(), p.tunnelID)
		return err
	}
	requests := func(call func() error) string {
		before := len(p.Requests())
		require.NoError(t, call())
		return strconv.Itoa(len(p.Requests()) - before)
	}
	first, again := requests(publish), requests(publish)
	assert.Equal(t, "3", requests(list), "with one hostname")
	p.published(cftunnel.PublishParams{Hostname: "b.example.com", Service: service})
	assert.Equal(t, "4", requests(list), "with two hostnames")
	removed, nothing := requests(unpublish), requests(unpublish)
	assert.Equal(t, [][]string{
		{"`Hostnames.Publish`", again, first},
		{"`Hostnames.Unpublish`", nothing, removed},
		{"`Hostnames.List`", "2, and 1 for each hostname", "–"},
	}, table(t, publishingPage, "call"))
}

func ExampleHostnamesService_Publish() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	srv.SeedZone("example.com")
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	token, err := publishBlog(context.Background(), client)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("run cloudflared with", token)
	for _, r := range srv.Requests() {
		if r.Method != "GET" {
			fmt.Println(r.Operation)
		}
	}
	// Output:
	// run cloudflared with [REDACTED]
	// POST /accounts/{account_id}/cfd_tunnel
	// PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations
	// POST /zones/{zone_id}/dns_records
}

func ExampleHostnamesService_List() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	srv.SeedZone("example.com")
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if _, err := publishBlog(ctx, client); err != nil {
		log.Fatal(err)
	}
	tunnel, err := client.Tunnels.FindByName(ctx, "blog")
	if err != nil {
		log.Fatal(err)
	}
	list, err := client.Hostnames.List(ctx, tunnel.ID)
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range list {
		fmt.Println(h.Hostname, h.Service, h.DNS)
	}
	// Output:
	// blog.example.com http://localhost:8080 ready
}
