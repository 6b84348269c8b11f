package redislimit_test

import (
	"context"
	"log"

	"github.com/redis/go-redis/v9"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/redislimit"
)

// Each of 20 processes runs this. Together they stay below the limit of their API token.
func Example() {
	redisClient := redis.NewClient(&redis.Options{Addr: "localhost:6379"})
	defer redisClient.Close()
	limiter, err := redislimit.New(redisClient, redislimit.Options{
		Processes: 20,
		Notify:    func(err error) { log.Println("Redis is unavailable, or back if nil:", err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	client, err := cftunnel.NewClient(cftunnel.WithEnvironment(), cftunnel.WithLimiter(limiter))
	if err != nil {
		log.Fatal(err)
	}
	for tunnel, err := range client.Tunnels.All(context.Background(), cftunnel.TunnelListParams{}) {
		if err != nil {
			log.Fatal(err)
		}
		log.Println(tunnel.Name)
	}
}
