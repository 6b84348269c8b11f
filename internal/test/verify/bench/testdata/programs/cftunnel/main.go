// Command cftunnel gets one tunnel with this client.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

func main() {
	client, err := cftunnel.NewClient(cftunnel.WithEnvironment())
	if err != nil {
		log.Fatal(err)
	}
	tunnel, err := client.Tunnels.Get(context.Background(), os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tunnel.Name, tunnel.Status, tunnel.CreatedAt)
}
