// Command v0 gets one tunnel with cloudflare-go v0.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	cloudflare "github.com/cloudflare/cloudflare-go"
)

func main() {
	api, err := cloudflare.NewWithAPIToken(os.Getenv("CLOUDFLARE_API_TOKEN"))
	if err != nil {
		log.Fatal(err)
	}
	account := cloudflare.AccountIdentifier(os.Getenv("CLOUDFLARE_ACCOUNT_ID"))
	tunnel, err := api.GetTunnel(context.Background(), account, os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tunnel.Name, tunnel.Status, tunnel.CreatedAt)
}
