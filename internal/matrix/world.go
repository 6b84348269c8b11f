package matrix

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// Build makes a world in a fake, without a network. It leaves its requests in the fake's record.
func Build(ctx context.Context, srv *tunneltest.Server) (World, error) {
	w := World{Name: "matrix", Free: "free"}
	client, err := cftunnel.NewClient(
		cftunnel.WithBaseURL("http://localhost/client/v4"),
		cftunnel.WithAPIToken(srv.APIToken().Reveal()), cftunnel.WithAccountID(srv.AccountID()), cftunnel.WithLimiter(nil),
		cftunnel.WithHTTPClient(&http.Client{Transport: direct{srv.Handler()}}),
	)
	if err != nil {
		return w, err
	}
	run := func(token cftunnel.Secret) string {
		id, connectErr := srv.Connect(token)
		err = errors.Join(err, connectErr)
		return id
	}
	tunnel := func(name string, connectors int) (id, connector string) {
		t, createErr := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: name, ConfigSource: cftunnel.ConfigSourceCloudflare})
		if createErr != nil {
			err = errors.Join(err, createErr)
			return "", ""
		}
		for range connectors {
			connector = run(t.Token)
		}
		return t.ID, connector
	}
	warp := func(name string, connectors int) (id, connector string) {
		t, createErr := client.WARPConnectors.Create(ctx, cftunnel.WARPConnectorCreateParams{Name: name, HA: true})
		if createErr != nil {
			err = errors.Join(err, createErr)
			return "", ""
		}
		for range connectors {
			token, tokenErr := client.WARPConnectors.Token(ctx, t.ID)
			err = errors.Join(err, tokenErr)
			connector = run(token)
		}
		return t.ID, connector
	}
	w.Tunnel, w.Connector = tunnel(w.Name, 1)
	w.Idle, _ = tunnel("idle", 0)
	w.WARP, w.WARPConnector = warp("warp", 2)
	w.IdleWARP, _ = warp("idle warp", 0)
	return w, err
}

// direct hands requests to a handler.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	d.handler.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}
