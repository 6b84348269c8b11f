// Command v7 gets one tunnel with package zero_trust of cloudflare-go v7.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/zero_trust"
)

func main() {
	tunnels := zero_trust.NewTunnelCloudflaredService(
		option.WithEnvironmentProduction(), option.WithAPIToken(os.Getenv("CLOUDFLARE_API_TOKEN")))
	var params zero_trust.TunnelCloudflaredGetParams
	params.AccountID.Value, params.AccountID.Present = os.Getenv("CLOUDFLARE_ACCOUNT_ID"), true
	tunnel, err := tunnels.Get(context.Background(), os.Args[1], params)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tunnel.Name, tunnel.Status, tunnel.CreatedAt)
}
