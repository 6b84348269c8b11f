// Command v7root reads one tunnel with the client of cloudflare-go/v7, as its README shows.
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
	tunnel, err := client.ZeroTrust.Tunnels.Cloudflared.Get(context.Background(), os.Args[1], zero_trust.TunnelCloudflaredGetParams{
		AccountID: cloudflare.F(os.Getenv("CLOUDFLARE_ACCOUNT_ID")),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tunnel.Name, tunnel.Status, tunnel.CreatedAt)
}
