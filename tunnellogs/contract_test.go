package tunnellogs_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunnellogs"
)

// These names and types are a contract: other programs compile against them.
var (
	_ func(
		ctx context.Context, client *cftunnel.Client, tunnelID string, params tunnellogs.Params,
	) iter.Seq2[tunnellogs.Entry, error] = tunnellogs.Tail
	_ func(
		ctx context.Context, client *cftunnel.Client, tunnelID, connectorID string,
		params tunnellogs.Params,
	) (*tunnellogs.Stream, error) = tunnellogs.Open

	_ interface {
		Next(context.Context) (tunnellogs.Entry, error)
		SetFilter(context.Context, tunnellogs.Filter) error
		Close() error
	} = (*tunnellogs.Stream)(nil)
	_ interface {
		error
		Unwrap() error
	} = (*tunnellogs.StreamError)(nil)
	_ interface {
		fmt.Formatter
		fmt.Stringer
		slog.LogValuer
	} = tunnellogs.Entry{}

	_ = tunnellogs.Params{
		Filter: tunnellogs.Filter{
			Level:    tunnellogs.LevelDebug,
			Events:   []tunnellogs.EventType{tunnellogs.EventHTTP},
			Sampling: 1,
		},
		ConnectorIDs:  []string{},
		Endpoint:      "",
		PollInterval:  time.Second,
		HTTPClient:    (*http.Client)(nil),
		MaxEntryBytes: int64(1),
		Logger:        (*slog.Logger)(nil),
	}
	_ = tunnellogs.Entry{
		ConnectorID: "",
		Time:        time.Time{},
		Level:       tunnellogs.LevelInfo,
		Event:       tunnellogs.EventCloudflared,
		Message:     "",
		Fields:      map[string]any{},
	}
	_ = tunnellogs.StreamError{ConnectorID: "", StatusCode: 0, CloseCode: 0, Reason: ""}
	_ = []tunnellogs.Level{tunnellogs.LevelWarn, tunnellogs.LevelError}
	_ = []tunnellogs.EventType{tunnellogs.EventTCP, tunnellogs.EventUDP}
	_ = errors.Join(
		tunnellogs.ErrSessionLimit,
		tunnellogs.ErrReplaced,
		tunnellogs.ErrIdle,
		tunnellogs.ErrNoConnector,
		tunnellogs.ErrInvalidFilter,
		tunnellogs.ErrEntryTooLarge,
	)
)
