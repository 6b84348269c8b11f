package tunnellogs

import (
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/roundtrip"
)

// Defaults of Params.
const (
	defaultPollInterval  = 30 * time.Second
	defaultMaxEntryBytes = 4 << 20
)

// Params says what to stream and how. The zero Params streams every line from Cloudflare's own
// endpoint.
type Params struct {
	// Filter selects the lines. The default is every line.
	Filter
	// ConnectorIDs limits Tail to these connectors. The default is every connector. Open returns an
	// error if it is set.
	ConnectorIDs []string
	// Endpoint is the base URL, to which "/logs" is appended. It must be https or wss; http and ws
	// are allowed for a loopback address. The default is https://management.argotunnel.com, or
	// Cloudflare's FedRAMP host if the management token is for FedRAMP.
	Endpoint string
	// PollInterval is how often Tail lists the connectors. The default is 30s.
	PollInterval time.Duration
	// HTTPClient opens the streams. The default client uses the proxy of the environment. Set it to
	// use a custom CA, for example. Redirects are never followed.
	HTTPClient *http.Client
	// MaxEntryBytes is the maximum size of a WebSocket message, in bytes. A message usually has one
	// entry. A larger message ends the stream with ErrEntryTooLarge. So does an entry whose Fields
	// need more memory than 8 times MaxEntryBytes, plus 8 MiB. The default is 4 MiB.
	MaxEntryBytes int64
	// Logger receives the log records of Tail: streams that open and end, pauses, failed polls. The
	// default discards them.
	Logger *slog.Logger
}

// withDefaults checks the parameters and sets the defaults of zero fields.
func (p Params) withDefaults() (Params, error) {
	switch {
	case p.PollInterval < 0:
		return p, invalid("PollInterval", "is negative")
	case p.MaxEntryBytes < 0:
		return p, invalid("MaxEntryBytes", "is negative")
	}
	for _, id := range p.ConnectorIDs {
		if err := checkConnectorID("ConnectorIDs", id); err != nil {
			return p, err
		}
	}
	if err := p.Filter.check(); err != nil {
		return p, err
	}
	if p.Endpoint != "" {
		endpoint, err := parseEndpoint(p.Endpoint)
		if err != nil {
			return p, err
		}
		p.Endpoint = endpoint
	}
	if p.PollInterval == 0 {
		p.PollInterval = defaultPollInterval
	}
	if p.MaxEntryBytes == 0 {
		p.MaxEntryBytes = defaultMaxEntryBytes
	}
	p.MaxEntryBytes = min(p.MaxEntryBytes, math.MaxInt64-1) // the stream reads one byte more
	if p.HTTPClient == nil {
		transport := roundtrip.NewTransport()
		transport.DisableKeepAlives = true // idle connections would outlive the streams
		p.HTTPClient = &http.Client{Transport: transport}
	}
	if p.Logger == nil {
		p.Logger = slog.New(slog.DiscardHandler)
	}
	return p, nil
}

// parseEndpoint returns the URL of the logs for a base URL.
func parseEndpoint(base string) (string, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil:
		return "", invalid("Endpoint", "is not a URL")
	case u.Hostname() == "" || u.Opaque != "":
		return "", invalid("Endpoint", "has no host")
	case u.User != nil:
		return "", invalid("Endpoint", "has a user or a password")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", invalid("Endpoint", "has a query or a fragment")
	}
	switch u.Scheme {
	case "https", "wss":
	case "http", "ws":
		host := u.Hostname()
		if !strings.EqualFold(host, "localhost") && !net.ParseIP(host).IsLoopback() {
			return "", invalid("Endpoint", "is neither encrypted nor a loopback address; use https")
		}
	default:
		return "", invalid("Endpoint", "has a scheme other than https, wss, http and ws")
	}
	return u.JoinPath("logs").String(), nil
}

const (
	maxConnectorID = 128 // longer than any known ID
	idCharacters   = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
)

func checkConnectorID(name, id string) error {
	switch {
	case id == "":
		return invalid(name, "is empty")
	case len(id) > maxConnectorID:
		return invalid(name, "is longer than 128 characters")
	case strings.Trim(id, idCharacters) != "":
		return invalid(name, "has characters other than letters, digits, -, _ and .")
	}
	return nil
}

func invalid(name, reason string) error {
	return &cftunnel.InvalidArgumentError{Name: name, Reason: reason}
}
