module github.com/cftunnel/cftunnel-go/examples/fleet

go 1.26.0

replace (
	github.com/cftunnel/cftunnel-go => ../..
	github.com/cftunnel/cftunnel-go/redislimit => ../../redislimit
)

require (
	github.com/cftunnel/cftunnel-go v0.2.0
	github.com/cftunnel/cftunnel-go/redislimit v0.0.0-00010101000000-000000000000
	github.com/redis/go-redis/v9 v9.23.0
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/coder/websocket v1.8.15 // indirect
	github.com/go-faster/errors v0.7.1 // indirect
	github.com/go-faster/jx v1.2.0 // indirect
	github.com/google/go-querystring v1.2.0 // indirect
	github.com/segmentio/asm v1.2.1 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)
