// Package cases lists every method of the client and every fault of a network or a server, for
// tests of all their combinations.
package cases

import (
	"context"
	"maps"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// Method is a method of one of the client's services.
type Method struct {
	// Operations are the operations that the method sends to a server that responds 404 to
	// everything.
	Operations []string
	// Call calls the method. It succeeds if the server has the fixture.
	Call func(ctx context.Context, c *cftunnel.Client, f Fixture) error
	// AccountToken is set if the client's API token must belong to the account.
	AccountToken bool
	// Dispensable are operations that the method sends, but that may fail.
	Dispensable []string
	// Polls is set if the method sends more requests after one that failed.
	Polls bool
	// V7 and V0 are the methods of the official clients that send the first operation. Empty means
	// none.
	V7, V0 string
}

const (
	tunnels = "/accounts/{account_id}/cfd_tunnel"
	tunnel  = tunnels + "/{tunnel_id}"
	warps   = "/accounts/{account_id}/warp_connector"
	warp    = warps + "/{tunnel_id}"
)

func addRule(c *cftunnel.TunnelConfig) error {
	c.Ingress = []cftunnel.IngressRule{
		{Hostname: "a.example.com", Service: "http://localhost"}, {Service: "http_status:404"},
	}
	return nil
}

// Methods has every method of the services. The keys are names such as "Tunnels.Get".
var Methods = join(
	tunnelMethods, networkMethods, hostnameMethods,
	tokenMethods("UserTokens", "/user/tokens", "User.Tokens",
		func(c *cftunnel.Client) *cftunnel.APITokensService { return c.UserTokens },
		func(f Fixture) string { return f.UserToken }),
	tokenMethods("AccountTokens", "/accounts/{account_id}/tokens", "Accounts.Tokens",
		func(c *cftunnel.Client) *cftunnel.APITokensService { return c.AccountTokens },
		func(f Fixture) string { return f.AccountToken }),
)

func join(parts ...map[string]Method) map[string]Method {
	all := map[string]Method{}
	for _, part := range parts {
		maps.Copy(all, part)
	}
	return all
}

// tunnelMethods has the methods for tunnels, and those that verify the client's own token.
var tunnelMethods = map[string]Method{
	"Tunnels.Create": {V7: "ZeroTrust.Tunnels.Cloudflared.New", V0: "CreateTunnel", Operations: []string{"POST " + tunnels}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: f.Free})
		return err
	}},
	"Tunnels.Get": {V7: "ZeroTrust.Tunnels.Cloudflared.Get", V0: "GetTunnel", Operations: []string{"GET " + tunnel}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tunnels.Get(ctx, f.Tunnel)
		return err
	}},
	"Tunnels.List": {V7: "ZeroTrust.Tunnels.Cloudflared.List", V0: "ListTunnels", Operations: []string{"GET " + tunnels}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tunnels.List(ctx, cftunnel.TunnelListParams{})
		return err
	}},
	"Tunnels.All": {Operations: []string{"GET " + tunnels}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) (err error) {
		for _, err = range c.Tunnels.All(ctx, cftunnel.TunnelListParams{}) {
			break
		}
		return err
	}},
	"Tunnels.ListAllTypes": {V7: "ZeroTrust.Tunnels.List", Operations: []string{"GET /accounts/{account_id}/tunnels"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tunnels.ListAllTypes(ctx, cftunnel.AllTypesListParams{})
		return err
	}},
	"Tunnels.AllTypes": {Operations: []string{"GET /accounts/{account_id}/tunnels"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) (err error) {
		for _, err = range c.Tunnels.AllTypes(ctx, cftunnel.AllTypesListParams{}) {
			break
		}
		return err
	}},
	"Tunnels.Update": {V7: "ZeroTrust.Tunnels.Cloudflared.Edit", Operations: []string{"PATCH " + tunnel}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tunnels.Update(ctx, f.Tunnel, cftunnel.TunnelUpdateParams{Name: f.Free})
		return err
	}},
	"Tunnels.Delete": {V7: "ZeroTrust.Tunnels.Cloudflared.Delete", V0: "DeleteTunnel", Operations: []string{"DELETE " + tunnel}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tunnels.Delete(ctx, f.Idle, cftunnel.TunnelDeleteParams{})
		return err
	}},
	"Tunnels.Token": {V7: "ZeroTrust.Tunnels.Cloudflared.Token.Get", V0: "GetTunnelToken", Operations: []string{"GET " + tunnel + "/token"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tunnels.Token(ctx, f.Tunnel)
		return err
	}},
	"Tunnels.ManagementToken": {V7: "ZeroTrust.Tunnels.Cloudflared.Management.New", Operations: []string{"POST " + tunnel + "/management", "POST " + tunnel + "/management/{resource}"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tunnels.ManagementToken(ctx, f.Tunnel, cftunnel.ManagementResourceLogs)
		return err
	}},
	"Tunnels.Configuration": {V7: "ZeroTrust.Tunnels.Cloudflared.Configurations.Get", V0: "GetTunnelConfiguration", Operations: []string{"GET " + tunnel + "/configurations"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tunnels.Configuration(ctx, f.Tunnel)
		return err
	}},
	"Tunnels.UpdateConfiguration": {V7: "ZeroTrust.Tunnels.Cloudflared.Configurations.Update", V0: "UpdateTunnelConfiguration", Operations: []string{"PUT " + tunnel + "/configurations"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tunnels.UpdateConfiguration(ctx, f.Tunnel, cftunnel.TunnelConfig{Ingress: []cftunnel.IngressRule{{Service: "http_status:404"}}})
		return err
	}},
	"Tunnels.ModifyConfiguration": {Operations: []string{"GET " + tunnel + "/configurations"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tunnels.ModifyConfiguration(ctx, f.Tunnel, addRule)
		return err
	}},
	"Tunnels.FindByName": {Operations: []string{"GET " + tunnels}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tunnels.FindByName(ctx, f.Name)
		return err
	}},
	"Tunnels.Ensure": {Operations: []string{"GET " + tunnels}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, _, err := c.Tunnels.Ensure(ctx, cftunnel.TunnelCreateParams{Name: f.Free})
		return err
	}},
	"Tunnels.RotateSecret": {Operations: []string{"PATCH " + tunnel}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tunnels.RotateSecret(ctx, f.Tunnel, cftunnel.RotateParams{})
		return err
	}},
	"Tunnels.CleanupAndDelete": {Operations: []string{"DELETE " + tunnel + "/connections"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tunnels.CleanupAndDelete(ctx, f.Tunnel)
		return err
	}},
	"Tunnels.WaitForStatus": {Operations: []string{"GET " + tunnel}, Polls: true, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tunnels.WaitForStatus(ctx, f.Tunnel, cftunnel.TunnelStatusHealthy,
			cftunnel.WaitParams{})
		return err
	}},
	"WARPConnectors.RotateSecret": {Operations: []string{"PATCH " + warp}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.WARPConnectors.RotateSecret(ctx, f.WARP, cftunnel.RotateParams{})
		return err
	}},
	"Connectors.List": {V7: "ZeroTrust.Tunnels.Cloudflared.Connections.Get", V0: "ListTunnelConnections", Operations: []string{"GET " + tunnel + "/connections"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Connectors.List(ctx, f.Tunnel)
		return err
	}},
	"Connectors.Get": {V7: "ZeroTrust.Tunnels.Cloudflared.Connectors.Get", Operations: []string{"GET " + tunnel + "/connectors/{connector_id}"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Connectors.Get(ctx, f.Tunnel, f.Connector)
		return err
	}},
	"Connectors.Cleanup": {V7: "ZeroTrust.Tunnels.Cloudflared.Connections.Delete", V0: "CleanupTunnelConnections", Operations: []string{"DELETE " + tunnel + "/connections"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		return c.Connectors.Cleanup(ctx, f.Tunnel, cftunnel.CleanupParams{})
	}},
	"WARPConnectors.Create": {V7: "ZeroTrust.Tunnels.WARPConnector.New", Operations: []string{"POST " + warps}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.WARPConnectors.Create(ctx, cftunnel.WARPConnectorCreateParams{Name: f.Free})
		return err
	}},
	"WARPConnectors.Get": {V7: "ZeroTrust.Tunnels.WARPConnector.Get", Operations: []string{"GET " + warp}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.WARPConnectors.Get(ctx, f.WARP)
		return err
	}},
	"WARPConnectors.List": {V7: "ZeroTrust.Tunnels.WARPConnector.List", Operations: []string{"GET " + warps}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.WARPConnectors.List(ctx, cftunnel.TunnelListParams{})
		return err
	}},
	"WARPConnectors.All": {Operations: []string{"GET " + warps}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) (err error) {
		for _, err = range c.WARPConnectors.All(ctx, cftunnel.TunnelListParams{}) {
			break
		}
		return err
	}},
	"WARPConnectors.Update": {V7: "ZeroTrust.Tunnels.WARPConnector.Edit", Operations: []string{"PATCH " + warp}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.WARPConnectors.Update(ctx, f.WARP, cftunnel.TunnelUpdateParams{Name: f.Free})
		return err
	}},
	"WARPConnectors.Delete": {V7: "ZeroTrust.Tunnels.WARPConnector.Delete", Operations: []string{"DELETE " + warp}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.WARPConnectors.Delete(ctx, f.IdleWARP, cftunnel.TunnelDeleteParams{})
		return err
	}},
	"WARPConnectors.Token": {V7: "ZeroTrust.Tunnels.WARPConnector.Token.Get", Operations: []string{"GET " + warp + "/token"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.WARPConnectors.Token(ctx, f.WARP)
		return err
	}},
	"WARPConnectors.Connectors": {V7: "ZeroTrust.Tunnels.WARPConnector.Connections.Get", Operations: []string{"GET " + warp + "/connections"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.WARPConnectors.Connectors(ctx, f.WARP)
		return err
	}},
	"WARPConnectors.Connector": {V7: "ZeroTrust.Tunnels.WARPConnector.Connectors.Get", Operations: []string{"GET " + warp + "/connectors/{connector_id}"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.WARPConnectors.Connector(ctx, f.WARP, f.WARPConnector)
		return err
	}},
	"WARPConnectors.Failover": {V7: "ZeroTrust.Tunnels.WARPConnector.Failover.Update", Operations: []string{"PUT " + warp + "/failover"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		return c.WARPConnectors.Failover(ctx, f.WARP, f.WARPConnector)
	}},
	"WARPConnectors.Configuration": {V7: "ZeroTrust.Tunnels.WARPConnector.Configurations.Get", Operations: []string{"GET " + warp + "/configurations"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.WARPConnectors.Configuration(ctx, f.WARP)
		return err
	}},
	"WARPConnectors.UpdateConfiguration": {V7: "ZeroTrust.Tunnels.WARPConnector.Configurations.Update", Operations: []string{"PUT " + warp + "/configurations"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.WARPConnectors.UpdateConfiguration(ctx, f.WARP,
			cftunnel.WARPConfigurationParams{HAMode: cftunnel.HAModeNone})
		return err
	}},
	"Tokens.Verify": {Operations: []string{"GET /user/tokens/verify"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tokens.Verify(ctx)
		return err
	}},
	"Tokens.VerifyUser": {V7: "User.Tokens.Verify", V0: "VerifyAPIToken", Operations: []string{"GET /user/tokens/verify"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tokens.VerifyUser(ctx)
		return err
	}},
	"Tokens.VerifyAccount": {V7: "Accounts.Tokens.Verify", Operations: []string{"GET /accounts/{account_id}/tokens/verify"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Tokens.VerifyAccount(ctx)
		return err
	}, AccountToken: true},
}
