package cftunnel_test

import (
	"context"
	"log"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

func main() {
	if err := setUp("blog", "blog.example.com", "http://localhost:8080", "blog.token"); err != nil {
		log.Fatal(err)
	}
}

// setUp makes a tunnel serve a hostname, and writes the tunnel's token to a file.
func setUp(tunnelName, hostname, service, tokenFile string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	// CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID
	client, err := cftunnel.NewClient(cftunnel.WithEnvironment())
	if err != nil {
		return err
	}
	// Ensure returns the tunnel of this name, and creates it if there is none.
	tunnel, _, err := client.Tunnels.Ensure(ctx, cftunnel.TunnelCreateParams{
		Name:         tunnelName,
		ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		return err
	}
	// Publish writes the ingress rule and the DNS record.
	_, err = client.Hostnames.Publish(ctx, tunnel.ID, cftunnel.PublishParams{
		Hostname: hostname,
		Service:  service,
	})
	if err != nil {
		return err
	}
	token, err := client.Tunnels.Token(ctx, tunnel.ID)
	if err != nil {
		return err
	}
	return token.WriteFile(tokenFile) // only its owner may read the file
}
