// Inventory lists every tunnel of an account, of every kind, with its status, its connectors, their versions and its age. Without
// credentials in the environment it lists those of a fake of the API in this process.
package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// workers is how many tunnels are asked about at a time. The client keeps them all within the rate limit.
const workers = 8

func main() {
	asJSON := flag.Bool("json", false, "print JSON, an array of objects")
	asCSV := flag.Bool("csv", false, "print CSV, with a header")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: inventory [-json | -csv]\n\nLists the tunnels of the account in CLOUDFLARE_ACCOUNT_ID with the token in CLOUDFLARE_API_TOKEN.")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 || *asJSON && *asCSV {
		flag.Usage()
		os.Exit(2)
	}
	print := printTable
	switch {
	case *asJSON:
		print = printJSON
	case *asCSV:
		print = printCSV
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	progress := io.Discard
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		progress = os.Stderr
	}
	if err := run(ctx, os.Stdout, progress, print); err != nil {
		fmt.Fprintln(os.Stderr, "inventory:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, progress io.Writer, print func(io.Writer, []entry) error) error {
	client, closeFake, err := connect() //nolint:contextcheck // nothing is sent
	if err != nil {
		return err
	}
	defer closeFake()
	entries, err := collect(ctx, client, time.Now(), progress)
	if entries == nil {
		return err
	}
	// Tunnels whose connectors could not be read are printed with the others.
	return errors.Join(err, print(out, entries))
}

// connect returns a client of the real account, or of a fake with something in it.
func connect() (*cftunnel.Client, func(), error) {
	if os.Getenv("CLOUDFLARE_API_TOKEN") != "" || os.Getenv("CLOUDFLARE_API_KEY") != "" {
		client, err := cftunnel.NewClient(cftunnel.WithEnvironment())
		return client, func() {}, err
	}
	fmt.Fprintln(os.Stderr, "No credentials in the environment: listing the tunnels of a fake of the API in this process.")
	fake := tunneltest.NewServer()
	client, err := fake.NewClient()
	if err == nil {
		err = furnish(context.Background(), fake, client)
	}
	return client, fake.Close, err
}

// entry is a line of the inventory.
type entry struct {
	Name       string                `json:"name"`
	ID         string                `json:"id"`
	Type       cftunnel.TunnelType   `json:"type"`
	Status     cftunnel.TunnelStatus `json:"status"`
	Connectors int                   `json:"connectors"`
	Versions   []string              `json:"versions"` // of the connectors, each once
	CreatedAt  time.Time             `json:"created_at"`
	Age        string                `json:"age"`
	Error      string                `json:"error,omitempty"` // why the connectors could not be read
}

// collect reads the tunnels, and the connectors of several of them at a time. Where those of some could not be read, all tunnels are returned
// beside the error.
func collect(ctx context.Context, client *cftunnel.Client, now time.Time, progress io.Writer) ([]entry, error) {
	entries := []entry{}
	for tunnel, err := range client.Tunnels.AllTypes(ctx, cftunnel.AllTypesListParams{}) {
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{
			Name: tunnel.Name, ID: tunnel.ID, Type: tunnel.Type, Status: tunnel.Status, Versions: []string{},
			CreatedAt: tunnel.CreatedAt,
		})
		if !tunnel.CreatedAt.IsZero() {
			entries[len(entries)-1].Age = age(now.Sub(tunnel.CreatedAt))
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.Name, b.Name) })

	var mu sync.Mutex
	var failures []error
	done := 0
	next := make(chan *entry)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for e := range next {
				err := e.readConnectors(ctx, client)
				mu.Lock()
				if err != nil {
					failures = append(failures, err)
				}
				done++
				fmt.Fprintf(progress, "\r%d of %d tunnels", done, len(entries))
				mu.Unlock()
			}
		})
	}
	for i := range entries {
		next <- &entries[i]
	}
	close(next)
	group.Wait()
	fmt.Fprint(progress, "\r\033[K")
	if len(failures) > 0 {
		return entries, fmt.Errorf("the connectors of %d of %d tunnels could not be read, first: %w", len(failures), len(entries), failures[0])
	}
	return entries, nil
}

// readConnectors does nothing for kinds of tunnels that have none.
func (e *entry) readConnectors(ctx context.Context, client *cftunnel.Client) error {
	var connectors []cftunnel.Connector
	var err error
	switch e.Type {
	case cftunnel.TunnelTypeCloudflared:
		connectors, err = client.Connectors.List(ctx, e.ID)
	case cftunnel.TunnelTypeWARPConnector:
		connectors, err = client.WARPConnectors.Connectors(ctx, e.ID)
	default:
	}
	if err != nil {
		e.Error = err.Error()
		return err
	}
	e.Connectors = len(connectors)
	for _, connector := range connectors {
		if !slices.Contains(e.Versions, connector.Version) {
			e.Versions = append(e.Versions, connector.Version)
		}
	}
	slices.Sort(e.Versions)
	return nil
}

// age is a length of time in its largest unit.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%dd", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", max(d, 0)/time.Second)
}

var header = []string{"NAME", "TYPE", "STATUS", "CONNECTORS", "VERSIONS", "AGE", "ID"}

func (e entry) cells() []string {
	connectors := strconv.Itoa(e.Connectors)
	if e.Error != "" {
		connectors = "?"
	}
	return []string{e.Name, string(e.Type), string(e.Status), connectors, strings.Join(e.Versions, " "), e.Age, e.ID}
}

func printTable(out io.Writer, entries []entry) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(header, "\t"))
	for _, e := range entries {
		fmt.Fprintln(w, strings.Join(e.cells(), "\t"))
	}
	return w.Flush()
}

func printCSV(out io.Writer, entries []entry) error {
	w := csv.NewWriter(out)
	_ = w.Write(header)
	for _, e := range entries {
		_ = w.Write(e.cells())
	}
	w.Flush()
	return w.Error()
}

func printJSON(out io.Writer, entries []entry) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(entries)
}

// furnish puts tunnels of both kinds into a fake, in each status.
func furnish(ctx context.Context, fake *tunneltest.Server, client *cftunnel.Client) error {
	for _, name := range []string{"blog", "shop", "vpn", "wiki"} {
		tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: name, ConfigSource: cftunnel.ConfigSourceCloudflare})
		if err != nil {
			return err
		}
		if name == "wiki" {
			continue // never ran
		}
		connector, err := fake.Connect(tunnel.Token)
		if err != nil {
			return err
		}
		switch name {
		case "shop":
			fake.SetConnections(connector, 2)
		case "vpn":
			fake.Disconnect(connector)
		}
	}
	office, err := client.WARPConnectors.Create(ctx, cftunnel.WARPConnectorCreateParams{Name: "office", HA: true})
	if err != nil {
		return err
	}
	_, err = fake.Connect(office.Token)
	return err
}
