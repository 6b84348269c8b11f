package cftunnel

import "time"

// Connection is one of a connector's links to Cloudflare's edge. A healthy cloudflared holds four.
type Connection struct {
	ID            string    `json:"id"`
	ClientID      string    `json:"client_id,omitempty"` // of the connector
	ClientVersion string    `json:"client_version,omitempty"`
	ColoName      string    `json:"colo_name,omitempty"` // the data center
	OpenedAt      time.Time `json:"opened_at,omitzero"`
	OriginIP      string    `json:"origin_ip,omitempty"`
	// IsPendingReconnect is on its way out of the API; it is false where the answer lacks it.
	IsPendingReconnect bool `json:"is_pending_reconnect"`
}
