package cftunnel

import (
	"errors"
	"net/http"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
)

// Permissions for private networks, for the text of a 403.
const (
	networksRead = `"Cloudflare One Networks Read" or "Cloudflare Tunnel Read", ` +
		`or the same with Write`
	networksWrite = `"Cloudflare One Networks Write" or "Cloudflare Tunnel Write"`
)

// maxNetworkItemsPerPage is the most routes or virtual networks that the API puts on one page.
const maxNetworkItemsPerPage = 1000

func checkUUID(argument, id string) error {
	if err := apipath.UUID(id); err != nil {
		return invalid(argument, "%v", err)
	}
	return nil
}

func checkOptionalUUID(argument, id string) error {
	if id == "" {
		return nil
	}
	return checkUUID(argument, id)
}

// codeChangesNothing is the code of a PATCH that changes nothing, with status 500. The retry of a
// PATCH that was carried out gets it too.
const codeChangesNothing = 1000

// confirmUpdate returns the result of an update. If the API reports that the update changes
// nothing, it reads the item and returns it if it is as requested.
func confirmUpdate[T any](
	updated *T, err error, get func() (*T, error), describes func(T) bool,
) (*T, error) {
	if err == nil {
		return updated, nil
	}
	failure, ok := errors.AsType[*Error](err)
	if !ok || failure.StatusCode != http.StatusInternalServerError ||
		!hasCode(failure.Errors, codeChangesNothing) {
		return nil, err
	}
	if current, getErr := get(); getErr == nil && describes(*current) {
		return current, nil
	}
	return nil, err
}
