package cftunnel

import (
	"context"
	"net/http"
	"time"
)

// HAMode is how a highly available WARP connector routes traffic to the active machine. The API may
// return other values.
type HAMode string

// The modes of high availability.
const (
	HAModeNone     HAMode = "none"     // not configured yet
	HAModeDisabled HAMode = "disabled" // turned off
	HAModeAWS      HAMode = "aws"      // by moving an AWS network interface
	HAModeLocal    HAMode = "local"    // by virtual IP addresses
)

// WARPConfiguration is the high availability configuration of a WARP connector.
type WARPConfiguration struct {
	// TunnelID is the ID of the WARP connector. It is empty if the response has none.
	TunnelID string
	// Version grows by one with each change.
	Version int
	// HAMode is how traffic is routed to the active machine.
	HAMode HAMode
	// FNRID is the ID of the AWS network interface that is moved to the active machine, such as
	// eni-0123456789abcdef0. It is used with HAModeAWS.
	FNRID string
	// VIPs are the virtual IP addresses, IPv4 or IPv6. They are used with HAModeLocal.
	VIPs []string
	// VIPsPrevious are the virtual IP addresses before the last change. The machines remove them.
	VIPsPrevious []string
	// CreatedAt is when the configuration was created.
	CreatedAt time.Time
	// UpdatedAt is when the configuration was last changed. It is zero if it never was.
	UpdatedAt time.Time
}

// WARPConfigurationParams is the new high availability configuration of a WARP connector.
type WARPConfigurationParams struct {
	// HAMode is required.
	HAMode HAMode
	// FNRID is the ID of the AWS network interface that is moved to the active machine. Set it for
	// HAModeAWS only.
	FNRID string
	// VIPs are the virtual IP addresses, IPv4 or IPv6. Set them for HAModeLocal only.
	VIPs []string
	// VIPsPrevious are the virtual IP addresses to remove. Set them for HAModeLocal only.
	VIPsPrevious []string
}

// The operations on the configurations of WARP connectors.
var (
	opWARPConfiguration = op("WARPConnectors.Configuration", http.MethodGet,
		warpPath+"/configurations", warpRead)
	opWARPConfigure = op("WARPConnectors.UpdateConfiguration", http.MethodPut,
		warpPath+"/configurations", warpWrite)
)

// Configuration returns the high availability configuration of a WARP connector.
//
// It returns [ErrNotFound] if the WARP connector does not exist or is deleted.
//
// Operation: GET /accounts/{account_id}/warp_connector/{tunnel_id}/configurations
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/configurations/methods/get/
func (s *WARPConnectorsService) Configuration(
	ctx context.Context, tunnelID string, opts ...CallOption,
) (*WARPConfiguration, error) {
	r := request{operation: opWARPConfiguration, ids: []string{tunnelID}}
	return s.configuration(ctx, r, opts)
}

// UpdateConfiguration replaces the high availability configuration of a WARP connector, and returns
// the new one.
//
// It returns an [*InvalidArgumentError] if params.HAMode is empty or fields of two modes are set,
// [ErrNotFound] if the WARP connector does not exist or is deleted, [ErrBadRequest] if the other
// fields do not fit the mode, and [ErrOutcomeUnknown] if the call failed but the configuration may
// have been replaced.
//
// Operation: PUT /accounts/{account_id}/warp_connector/{tunnel_id}/configurations
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/configurations/methods/update/
func (s *WARPConnectorsService) UpdateConfiguration(
	ctx context.Context, tunnelID string, params WARPConfigurationParams, opts ...CallOption,
) (*WARPConfiguration, error) {
	local := len(params.VIPs)+len(params.VIPsPrevious) > 0
	switch {
	case params.HAMode == "":
		return nil, invalid("HAMode", "is empty")
	case params.FNRID != "" && local:
		return nil, invalid("FNRID", "cannot be set together with VIPs or VIPsPrevious: "+
			"FNRID is for the mode aws, they are for local")
	}
	body := warpSettings{HAMode: params.HAMode}
	if params.FNRID != "" || local {
		body.Config = &warpAddresses{
			FNRID: params.FNRID,
			VIPs:  vipsOf(params.VIPs), VIPsPrevious: vipsOf(params.VIPsPrevious),
		}
	}
	r := request{operation: opWARPConfigure, ids: []string{tunnelID}, body: body}
	return s.configuration(ctx, r, opts)
}

func (s *WARPConnectorsService) configuration(
	ctx context.Context, r request, opts []CallOption,
) (*WARPConfiguration, error) {
	tunnelID := r.ids[0]
	response, err := doItem(ctx, clientOf(s), r, func(w *warpResponse) error {
		switch {
		case w.HAMode == "":
			return errNoResult
		case w.TunnelID != "":
			return checkID(w.TunnelID, tunnelID)
		}
		return nil
	}, opts)
	if err != nil {
		return nil, err
	}
	c := &WARPConfiguration{
		TunnelID: response.TunnelID, Version: response.Version, HAMode: response.HAMode,
		CreatedAt: response.CreatedAt, UpdatedAt: response.UpdatedAt,
	}
	if config := response.Config; config != nil {
		c.FNRID = config.FNRID
		c.VIPs, c.VIPsPrevious = addressesOf(config.VIPs), addressesOf(config.VIPsPrevious)
	}
	return c, nil
}

// warpSettings is the part of a configuration that requests and responses have in common. Each mode
// uses other members of config.
type warpSettings struct {
	HAMode HAMode         `json:"ha_mode"`
	Config *warpAddresses `json:"config"`
}

type warpAddresses struct {
	FNRID        string `json:"fnr_id,omitempty"`
	VIPs         []vip  `json:"vips,omitempty"`
	VIPsPrevious []vip  `json:"vips_previous,omitempty"`
}

type vip struct {
	Address string `json:"address"`
}

type warpResponse struct {
	warpSettings
	TunnelID  string    `json:"tunnel_id"`
	Version   int       `json:"configuration_version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func vipsOf(addresses []string) []vip {
	var vips []vip
	for _, address := range addresses {
		vips = append(vips, vip{address})
	}
	return vips
}

func addressesOf(vips []vip) []string {
	var addresses []string
	for _, v := range vips {
		addresses = append(addresses, v.Address)
	}
	return addresses
}
