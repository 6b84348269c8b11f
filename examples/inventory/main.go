// Inventory lists all tunnels of an account, of every type, with their status, connectors,
// connector versions, age, private routes and public hostnames.
//
// If no credentials are set, it lists the tunnels of a fake of the API in this process.
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
	"net/netip"
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

// workers is the number of tunnels that are read at a time. The client keeps all requests within
// the rate limit.
const workers = 8

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// start returns the exit code: 2 for a bad command line, 1 if anything else fails.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("inventory", flag.ContinueOnError)
	flags.SetOutput(stderr)
	asJSON := flags.Bool("json", false, "print a JSON array of objects")
	asCSV := flags.Bool("csv", false, "print CSV with a header")
	flags.Usage = func() {
		fmt.Fprint(stderr, "usage: inventory [-json | -csv]\n\n"+
			"Lists the tunnels of an account. Set CLOUDFLARE_ACCOUNT_ID and\n"+
			"CLOUDFLARE_API_TOKEN. If no credentials are set, inventory uses a fake of the\n"+
			"API.\n\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2 // Parse has printed the reason
	}
	print := printTable
	switch {
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "inventory: unexpected argument %q\n", flags.Arg(0))
		return 2
	case *asJSON && *asCSV:
		fmt.Fprintln(stderr, "inventory: -json and -csv cannot be combined")
		return 2
	case *asJSON:
		print = printJSON
	case *asCSV:
		print = printCSV
	}
	client, closeFake, err := connect(ctx, stderr)
	if err == nil {
		defer closeFake()
		err = run(ctx, client, stdout, progressWriter(stderr), print)
	}
	if err != nil {
		fmt.Fprintln(stderr, "inventory:", err)
		return 1
	}
	return 0
}

// progressWriter returns w if it is a terminal. Otherwise it returns io.Discard.
func progressWriter(w io.Writer) io.Writer {
	if file, ok := w.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return w
		}
	}
	return io.Discard
}

func run(
	ctx context.Context, client *cftunnel.Client, out, progress io.Writer,
	print func(io.Writer, []entry) error,
) error {
	entries, err := collect(ctx, client, time.Now(), progress)
	if entries == nil {
		return err
	}
	// Print all tunnels, even if the details of some could not be read.
	return errors.Join(err, print(out, entries))
}

// connect returns a client for the real account or, if no credentials are set, for a fake with some
// tunnels. The function that it returns closes the fake.
func connect(ctx context.Context, stderr io.Writer) (*cftunnel.Client, func(), error) {
	if os.Getenv("CLOUDFLARE_API_TOKEN") != "" || os.Getenv("CLOUDFLARE_API_KEY") != "" {
		client, err := cftunnel.NewClient(cftunnel.WithEnvironment())
		return client, func() {}, err
	}
	fmt.Fprintln(stderr, "No credentials are set: using a fake of the API in this process.")
	fake := tunneltest.NewServer()
	client, err := fake.NewClient()
	if err == nil {
		err = seed(ctx, fake, client)
	}
	return client, fake.Close, err
}

// count returns a number and its noun, such as "1 tunnel" or "2 tunnels".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// entry is one tunnel of the inventory.
type entry struct {
	Name       string                `json:"name"`
	ID         string                `json:"id"`
	Type       cftunnel.TunnelType   `json:"type"`
	Status     cftunnel.TunnelStatus `json:"status"`
	Connectors int                   `json:"connectors"`
	Versions   []string              `json:"versions"` // of the connectors, without duplicates
	CreatedAt  time.Time             `json:"created_at"`
	Age        string                `json:"age"`
	// Routes has CIDRs and hostnames. A CIDR is followed by @ and the name of its virtual network,
	// unless that is the default one.
	Routes    []string   `json:"routes"`
	Error     string     `json:"error,omitempty"` // from reading the connectors
	Hostnames []hostname `json:"hostnames,omitempty"`
	// HostnamesError is the error from reading the hostnames.
	HostnamesError string                `json:"hostnames_error,omitempty"`
	ConfigSource   cftunnel.ConfigSource `json:"config_source,omitempty"`
}

// collect reads the tunnels with their details, several tunnels at a time. If the details of some
// tunnels cannot be read, it returns all tunnels and an error.
func collect(
	ctx context.Context, client *cftunnel.Client, now time.Time, progress io.Writer,
) ([]entry, error) {
	entries := []entry{}
	for tunnel, err := range client.Tunnels.AllTypes(ctx, cftunnel.AllTypesListParams{}) {
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{
			Name: tunnel.Name, ID: tunnel.ID, Type: tunnel.Type, Status: tunnel.Status,
			Versions: []string{}, Routes: []string{}, CreatedAt: tunnel.CreatedAt,
			ConfigSource: tunnel.ConfigSource,
		})
		if !tunnel.CreatedAt.IsZero() {
			entries[len(entries)-1].Age = age(now.Sub(tunnel.CreatedAt))
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.Name, b.Name) })

	routesErr := readRoutes(ctx, client, entries)
	var mu sync.Mutex
	var failures []error
	done := 0
	work := make(chan *entry)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for e := range work {
				err := errors.Join(e.readConnectors(ctx, client), e.readHostnames(ctx, client))
				mu.Lock()
				if err != nil {
					failures = append(failures, err)
				}
				done++
				fmt.Fprintf(progress, "\r%d of %s", done, count(len(entries), "tunnel"))
				mu.Unlock()
			}
		})
	}
	for i := range entries {
		work <- &entries[i]
	}
	close(work)
	group.Wait()
	fmt.Fprint(progress, "\r\033[K")
	if len(failures) > 0 {
		err := fmt.Errorf("reading the details of %d of %s failed, the first with: %w",
			len(failures), count(len(entries), "tunnel"), failures[0])
		return entries, errors.Join(err, routesErr)
	}
	return entries, routesErr
}

// readRoutes adds the routes of private networks to their tunnels.
func readRoutes(ctx context.Context, client *cftunnel.Client, entries []entry) error {
	byID := map[string]*entry{}
	for i := range entries {
		byID[entries[i].ID] = &entries[i]
	}
	add := func(tunnelID, route string) {
		if e := byID[tunnelID]; e != nil {
			e.Routes = append(e.Routes, route)
		}
	}
	network, err := client.VirtualNetworks.Default(ctx)
	if err != nil {
		return fmt.Errorf("reading the routes failed: %w", err)
	}
	for route, err := range client.Routes.All(ctx, cftunnel.RouteListParams{}) {
		if err != nil {
			return fmt.Errorf("reading the routes failed: %w", err)
		}
		text := route.Network.String()
		if route.VirtualNetworkID != "" && route.VirtualNetworkID != network.ID {
			text += "@" + route.VirtualNetworkName
		}
		add(route.TunnelID, text)
	}
	for route, err := range client.HostnameRoutes.All(ctx, cftunnel.HostnameRouteListParams{}) {
		if err != nil {
			return fmt.Errorf("reading the hostname routes failed: %w", err)
		}
		add(route.TunnelID, route.Hostname)
	}
	return nil
}

// readConnectors adds the connectors to e. It does nothing if tunnels of this type have none.
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

// age formats a duration in one unit: days, hours, minutes or seconds.
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

var header = []string{
	"NAME", "TYPE", "STATUS", "CONNECTORS", "VERSIONS", "AGE", "ID", "ROUTES", "HOSTNAMES",
}

func (e entry) cells() []string {
	connectors := strconv.Itoa(e.Connectors)
	if e.Error != "" {
		connectors = "?"
	}
	versions, routes := strings.Join(e.Versions, " "), strings.Join(e.Routes, " ")
	return []string{
		e.Name, string(e.Type), string(e.Status), connectors, versions, e.Age, e.ID, routes,
		e.hostnamesCell(),
	}
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

// seed adds tunnels of two types to a fake, with each status.
func seed(ctx context.Context, fake *tunneltest.Server, client *cftunnel.Client) error {
	for _, name := range []string{"blog", "shop", "vpn", "wiki"} {
		params := cftunnel.TunnelCreateParams{
			Name: name, ConfigSource: cftunnel.ConfigSourceCloudflare,
		}
		tunnel, err := client.Tunnels.Create(ctx, params)
		if err != nil {
			return err
		}
		if name == "wiki" {
			continue // no replica, so the status is inactive
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
	params := cftunnel.WARPConnectorCreateParams{Name: "office", HA: true}
	office, err := client.WARPConnectors.Create(ctx, params)
	if err != nil {
		return err
	}
	if _, err = fake.Connect(office.Token); err != nil {
		return err
	}
	if err := seedRoutes(ctx, client, office.ID); err != nil {
		return err
	}
	return seedHostnames(ctx, fake, client)
}

// seedRoutes adds a route of each kind to a fake.
func seedRoutes(ctx context.Context, client *cftunnel.Client, officeID string) error {
	vpn, err := client.Tunnels.FindByName(ctx, "vpn")
	if err != nil {
		return err
	}
	lab, err := client.VirtualNetworks.Create(ctx, cftunnel.VirtualNetworkCreateParams{Name: "lab"})
	if err != nil {
		return err
	}
	for _, params := range []cftunnel.RouteCreateParams{
		{Network: netip.MustParsePrefix("192.168.0.0/16"), TunnelID: officeID},
		{Network: netip.MustParsePrefix("10.0.0.0/8"), TunnelID: vpn.ID},
		{Network: netip.MustParsePrefix("10.0.0.0/8"), TunnelID: vpn.ID, VirtualNetworkID: lab.ID},
	} {
		if _, err := client.Routes.Create(ctx, params); err != nil {
			return err
		}
	}
	wiki := cftunnel.HostnameRouteCreateParams{Hostname: "wiki.internal", TunnelID: vpn.ID}
	_, err = client.HostnameRoutes.Create(ctx, wiki)
	return err
}
