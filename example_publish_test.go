package cftunnel_test

import (
	"context"
	"fmt"
	"log"

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
