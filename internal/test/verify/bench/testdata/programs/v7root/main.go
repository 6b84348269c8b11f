// Command v7root gets one tunnel with the client of cloudflare-go v7, as in its README.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/cloudflare/cloudflare-go/v7"
	"github.com/cloudflare/cloudflare-go/v7/zero_trust"
)

func main() {
	client := cloudflare.NewClient()
	params := zero_trust.TunnelCloudflaredGetParams{
		AccountID: cloudflare.F(os.Getenv("CLOUDFLARE_ACCOUNT_ID")),
	}
	tunnels := client.ZeroTrust.Tunnels.Cloudflared
	tunnel, err := tunnels.Get(context.Background(), os.Args[1], params)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tunnel.Name, tunnel.Status, tunnel.CreatedAt)
}
