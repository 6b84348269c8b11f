package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"
)

// baseline sends only these requests. It has no retries and no rate limit, and checks only the
// status.
type baseline struct {
	http    *http.Client
	url     string
	account string // the path of the account
}

func newBaseline(c Config) (Client, error) {
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	return &baseline{http: client, url: c.BaseURL, account: "/accounts/" + c.AccountID}, nil
}

// These types have the same fields as those of cftunnel.
type (
	baselineTunnel struct {
		ID              string               `json:"id"`
		AccountTag      string               `json:"account_tag"`
		Name            string               `json:"name"`
		Type            string               `json:"tun_type"`
		Status          string               `json:"status"`
		ConfigSource    string               `json:"config_src"`
		RemoteConfig    bool                 `json:"remote_config"`
		CreatedAt       time.Time            `json:"created_at"`
		DeletedAt       time.Time            `json:"deleted_at"`
		ConnsActiveAt   time.Time            `json:"conns_active_at"`
		ConnsInactiveAt time.Time            `json:"conns_inactive_at"`
		Connections     []baselineConnection `json:"connections"`
		Metadata        json.RawMessage      `json:"metadata"`
		Token           string               `json:"token"`
	}
	baselineConnection struct {
		ID                 string    `json:"id"`
		ClientID           string    `json:"client_id"`
		ClientVersion      string    `json:"client_version"`
		ColoName           string    `json:"colo_name"`
		OpenedAt           time.Time `json:"opened_at"`
		OriginIP           string    `json:"origin_ip"`
		IsPendingReconnect bool      `json:"is_pending_reconnect"`
	}
	baselineRoute struct {
		ID                 string       `json:"id"`
		Network            netip.Prefix `json:"network"`
		TunnelID           string       `json:"tunnel_id"`
		TunnelName         string       `json:"tunnel_name"`
		TunnelType         string       `json:"tun_type"`
		VirtualNetworkID   string       `json:"virtual_network_id"`
		VirtualNetworkName string       `json:"virtual_network_name"`
		Comment            string       `json:"comment"`
		CreatedAt          time.Time    `json:"created_at"`
		DeletedAt          time.Time    `json:"deleted_at"`
	}
	baselineRecord struct {
		ID         string    `json:"id"`
		Type       string    `json:"type"`
		Name       string    `json:"name"`
		Content    string    `json:"content"`
		TTL        int       `json:"ttl"`
		Proxied    bool      `json:"proxied"`
		Proxiable  bool      `json:"proxiable"`
		Comment    string    `json:"comment"`
		Tags       []string  `json:"tags"`
		CreatedOn  time.Time `json:"created_on"`
		ModifiedOn time.Time `json:"modified_on"`
	}
	baselineResponse[T any] struct {
		Success bool            `json:"success"`
		Errors  []baselineError `json:"errors"`
		Result  T               `json:"result"`
		Info    struct {
			TotalCount int `json:"total_count"`
		} `json:"result_info"`
	}
	baselineError struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
)

func baselineDo[T any](
	ctx context.Context, b *baseline, method, path string, body any,
) (*baselineResponse[T], error) {
	var sent io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, b.url+path, sent)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+Token)
	resp, err := b.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var response baselineResponse[T]
	read, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(read, &response); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %v", resp.Status, response.Errors)
	}
	return &response, nil
}

func (b *baseline) Get(ctx context.Context, tunnelID string) (Result, error) {
	path := b.account + "/cfd_tunnel/" + tunnelID
	response, err := baselineDo[baselineTunnel](ctx, b, http.MethodGet, path, nil)
	if err != nil {
		return Result{}, err
	}
	return Result{1, response.Result.Name, response.Result.CreatedAt}, nil
}

func (b *baseline) Create(ctx context.Context, name, secret string) (Result, error) {
	path := b.account + "/cfd_tunnel"
	response, err := baselineDo[baselineTunnel](ctx, b, http.MethodPost, path, struct {
		Name   string `json:"name"`
		Secret string `json:"tunnel_secret"`
	}{name, secret})
	if err != nil {
		return Result{}, err
	}
	return Result{1, response.Result.Name, response.Result.CreatedAt}, nil
}

func (b *baseline) Page(ctx context.Context) (Result, error) {
	response, err := b.page(ctx, 1)
	if err != nil {
		return Result{}, err
	}
	return last(response.Result), nil
}

func (b *baseline) page(
	ctx context.Context, page int,
) (*baselineResponse[[]baselineTunnel], error) {
	path := b.account + fmt.Sprintf("/cfd_tunnel?is_deleted=false&page=%d&per_page=1000", page)
	return baselineDo[[]baselineTunnel](ctx, b, http.MethodGet, path, nil)
}

func last(tunnels []baselineTunnel) Result {
	t := tunnels[len(tunnels)-1]
	return Result{len(tunnels), t.Name, t.CreatedAt}
}

func (b *baseline) All(ctx context.Context) (Result, error) {
	var all Result
	for page := 1; ; page++ {
		response, err := b.page(ctx, page)
		if err != nil {
			return Result{}, err
		}
		count := all.Count + len(response.Result)
		all = last(response.Result)
		all.Count = count
		if count >= response.Info.TotalCount {
			return all, nil
		}
	}
}

func (b *baseline) Routes(ctx context.Context) (Result, error) {
	path := b.account + "/teamnet/routes?is_deleted=false&page=1&per_page=1000"
	response, err := baselineDo[[]baselineRoute](ctx, b, http.MethodGet, path, nil)
	if err != nil {
		return Result{}, err
	}
	r := response.Result[len(response.Result)-1]
	return Result{len(response.Result), r.Network.String(), r.CreatedAt}, nil
}

func (b *baseline) Record(ctx context.Context, zoneID, name, target string) (Result, error) {
	path := "/zones/" + zoneID + "/dns_records"
	response, err := baselineDo[baselineRecord](ctx, b, http.MethodPost, path, struct {
		Type    string `json:"type"`
		Name    string `json:"name"`
		Content string `json:"content"`
		TTL     int    `json:"ttl"`
		Proxied bool   `json:"proxied"`
	}{"CNAME", name, target, 1, true})
	if err != nil {
		return Result{}, err
	}
	return Result{1, response.Result.Name, response.Result.CreatedOn}, nil
}
