// Tail prints the live logs of all replicas of a tunnel.
//
// If no credentials are set, it uses a fake of the API in this process, and prints a minute of
// sample logs in a second. The simulator prints the value of CFTUNNEL_LOGS_ENDPOINT, the default of
// -endpoint.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunnellogs"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(start(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// settings is the command line.
type settings struct {
	tunnel       string // name or ID
	params       tunnellogs.Params
	json, fields bool
}

// start returns the exit code: 2 for a bad command line, 1 if something else fails.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "tail:", err)
		return 2
	}
	out := newPrinter(stdout, s.json, s.fields)
	if os.Getenv("CLOUDFLARE_API_TOKEN") == "" && os.Getenv("CLOUDFLARE_API_KEY") == "" {
		fmt.Fprintln(stderr, "No credentials are set: "+
			"printing sample logs of a fake of the API in this process.")
		err = demonstrate(ctx, s, out, stderr, time.Second/60)
	} else if s.tunnel == "" {
		fmt.Fprintln(stderr, "tail: the name or the ID of the tunnel is missing")
		return 2
	} else {
		var client *cftunnel.Client
		if client, err = cftunnel.NewClient(cftunnel.WithEnvironment()); err == nil {
			err = follow(ctx, client, s, out, stderr)
		}
	}
	if err != nil && ctx.Err() == nil { // an interrupt is not a failure
		fmt.Fprintln(stderr, "tail:", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("tail", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // start prints the error
	levels := []string{"debug", "info", "warn", "error"}
	events := []string{"cloudflared", "http", "tcp", "udp"}
	const levelUsage = "lowest `level` to print: debug, info, warn or error (default: debug)"
	flags.Func("level", levelUsage, func(value string) error {
		s.params.Level = tunnellogs.Level(value)
		return oneOf(value, levels)
	})
	const eventUsage = "`types` to print, separated by commas: cloudflared, http, tcp, udp " +
		"(default: all)"
	flags.Func("event", eventUsage, func(value string) error {
		for event := range strings.SplitSeq(value, ",") {
			if err := oneOf(event, events); err != nil {
				return err
			}
			s.params.Events = append(s.params.Events, tunnellogs.EventType(event))
		}
		return nil
	})
	const connectorUsage = "`IDs` of the connectors to follow, separated by commas (default: all)"
	flags.Func("connector", connectorUsage, func(value string) error {
		s.params.ConnectorIDs = append(s.params.ConnectorIDs, strings.Split(value, ",")...)
		return nil
	})
	flags.Float64Var(&s.params.Sampling, "sample", 1,
		"`share` of the lines to print, greater than 0 and at most 1")
	flags.StringVar(&s.params.Endpoint, "endpoint", os.Getenv("CFTUNNEL_LOGS_ENDPOINT"),
		"base `URL` of the log streams (default: CFTUNNEL_LOGS_ENDPOINT, or that of Cloudflare)")
	flags.BoolVar(&s.json, "json", false,
		"print each entry as JSON, including cookies and tokens")
	flags.BoolVar(&s.fields, "fields", false,
		"print the fields of each entry, including cookies and tokens")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stderr, "usage: tail [flags] TUNNEL\n\n"+
			"Prints the live logs of a tunnel. TUNNEL is its name or its ID.\n"+
			"Set CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN. If no credentials are set, tail\n"+
			"uses a fake of the API.\n\n")
		flags.SetOutput(stderr)
		flags.PrintDefaults()
		return s, err
	case err != nil:
		return s, err
	case flags.NArg() > 1:
		return s, fmt.Errorf("unexpected argument %q: flags go before the tunnel", flags.Arg(1))
	case !(s.params.Sampling > 0 && s.params.Sampling <= 1):
		return s, errors.New("-sample must be greater than 0 and at most 1")
	}
	s.tunnel = flags.Arg(0)
	return s, nil
}

func oneOf(value string, list []string) error {
	if !slices.Contains(list, value) {
		return errors.New("must be one of " + strings.Join(list, ", "))
	}
	return nil
}

// follow prints the logs of the tunnel until ctx ends, and then returns nil. If a connector cannot
// be streamed from, follow prints the error and goes on: Tail streams from the connector later, for
// example after it has reconnected, and from connectors that start later.
func follow(
	ctx context.Context, client *cftunnel.Client, s settings, out *printer, stderr io.Writer,
) error {
	tunnelID := s.tunnel
	if !isID(tunnelID) {
		tunnel, err := client.Tunnels.FindByName(ctx, s.tunnel)
		if err != nil {
			return err
		}
		tunnelID = tunnel.ID
	}
	for entry, err := range tunnellogs.Tail(ctx, client, tunnelID, s.params) {
		_, ofConnector := errors.AsType[*tunnellogs.StreamError](err)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			if err := out.print(entry); err != nil {
				return err
			}
		case errors.Is(err, tunnellogs.ErrSessionLimit):
			fmt.Fprintf(stderr, "tail: %v; trying again each minute\n", err)
		case ofConnector && !errors.Is(err, tunnellogs.ErrInvalidFilter):
			fmt.Fprintln(stderr, "tail:", err)
		default:
			return err // Tail ends after these errors
		}
	}
	return nil
}

// isID reports whether the text has the form of a UUID.
func isID(text string) bool {
	parts := strings.Split(text, "-")
	if len(parts) != 5 {
		return false
	}
	for i, length := range []int{8, 4, 4, 4, 12} {
		if len(parts[i]) != length ||
			strings.Trim(strings.ToLower(parts[i]), "0123456789abcdef") != "" {
			return false
		}
	}
	return true
}
