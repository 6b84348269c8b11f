package cftunnel

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// APITokenCreateParams describes a new API token.
type APITokenCreateParams struct {
	// Name has 1 to 120 characters. It need not be unique. Required.
	Name string
	// Policies are what the token may do. A token without policies may do nothing.
	Policies []TokenPolicy
	// Condition restricts the addresses that the token works from. If it is nil or has no
	// addresses, there is no restriction.
	Condition *TokenCondition
	// NotBefore and ExpiresOn limit the time in which the token works. They are sent in whole
	// seconds. Zero is no limit. A time in the past is sent unchanged: whether the API rejects it
	// is unknown.
	NotBefore, ExpiresOn time.Time
}

// APITokenUpdateParams has all settings of an API token. An update replaces all of them: if
// Condition, NotBefore or ExpiresOn is zero, the token loses that setting.
type APITokenUpdateParams struct {
	// Name has 1 to 120 characters. Required.
	Name string
	// Status is TokenStatusActive or TokenStatusDisabled. If it is empty, no status is sent.
	// Whether a disabled token then stays disabled is unknown.
	Status TokenStatus
	// Policies are what the token may do. Required: for a token that may do nothing, use an empty
	// list that is not nil.
	Policies []TokenPolicy
	// Condition restricts the addresses that the token works from. If it is nil or has no
	// addresses, there is no restriction.
	Condition *TokenCondition
	// NotBefore and ExpiresOn limit the time in which the token works. They are sent in whole
	// seconds. Zero is no limit. A time in the past is sent unchanged: whether the API rejects it
	// is unknown.
	NotBefore, ExpiresOn time.Time
}

// APITokenListParams filters a list of API tokens.
type APITokenListParams struct {
	// IncludeExpired adds tokens that expired recently. By default they are left out.
	IncludeExpired bool `url:"include_expired,omitempty"`
	// Page is the page number, from 1. The default is 1. The method All starts with this page.
	Page int `url:"page,omitempty"`
	// PerPage is 5 to 50. The default is 20 for List, set by the API, and 50 for All.
	PerPage int `url:"per_page,omitempty"`
}

// apiTokenBody is the body of a create or an update. It has no empty members.
type apiTokenBody struct {
	Name      string          `json:"name"`
	Status    TokenStatus     `json:"status,omitempty"`
	Policies  []TokenPolicy   `json:"policies"`
	Condition *TokenCondition `json:"condition,omitempty"`
	NotBefore string          `json:"not_before,omitempty"`
	ExpiresOn string          `json:"expires_on,omitempty"`
}

// body checks the parameters and returns the body of the request.
func (p APITokenUpdateParams) body() (*apiTokenBody, error) {
	err := cmp.Or(checkTokenName("Name", p.Name), p.Condition.check(), checkPolicies(p.Policies),
		checkYear("NotBefore", p.NotBefore), checkYear("ExpiresOn", p.ExpiresOn))
	switch {
	case err != nil:
		return nil, err
	case p.Status == TokenStatusExpired || p.Status == TokenStatusRevoked:
		return nil, invalid("Status", "cannot be set; use active or disabled")
	case !p.ExpiresOn.IsZero() && p.ExpiresOn.Before(p.NotBefore):
		return nil, invalid("ExpiresOn", "is before NotBefore")
	}
	body := &apiTokenBody{
		Name: p.Name, Status: p.Status, Condition: p.Condition.clone(),
		NotBefore: requestTime(p.NotBefore), ExpiresOn: requestTime(p.ExpiresOn),
		Policies: make([]TokenPolicy, len(p.Policies)),
	}
	for i, policy := range p.Policies {
		body.Policies[i] = policy.inRequest()
	}
	return body, nil
}

// checkYear refuses a time that RFC 3339 cannot express.
func checkYear(argument string, t time.Time) error {
	if year := t.UTC().Year(); year < 1 || year > 9999 {
		return invalid(argument, "is not in the years 1 to 9999")
	}
	return nil
}

// requestTime returns a time as the API expects it: in UTC and whole seconds.
func requestTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// maxTokenName is the longest name of a token, in characters.
const maxTokenName = 120

func checkTokenName(argument, name string) error {
	switch n := utf8.RuneCountInString(name); {
	case strings.TrimSpace(name) == "":
		return invalid(argument, "is empty")
	case n > maxTokenName:
		return invalid(argument, "has %d characters; at most %d are allowed", n, maxTokenName)
	}
	return nil
}

// checkPolicies returns an error if a policy has no permission group or no resource.
func checkPolicies(policies []TokenPolicy) error {
	for i, policy := range policies {
		at := fmt.Sprintf("Policies[%d].", i)
		switch {
		case len(policy.PermissionGroups) == 0:
			return invalid(at+"PermissionGroups", "are empty")
		case len(policy.Resources) == 0:
			return invalid(at+"Resources", "are empty")
		case slices.ContainsFunc(policy.PermissionGroups, lacksID):
			return invalid(at+"PermissionGroups", "have a group without an ID")
		}
		if _, err := json.Marshal(policy.inRequest()); err != nil {
			return invalid(fmt.Sprintf("Policies[%d]", i), "cannot be encoded as JSON: %v", err)
		}
		for name, resource := range policy.Resources {
			if !isResourceName(name) {
				return invalid(at+"Resources", "have a name without the ID of an account or zone")
			}
			for name := range resource.Within {
				if !isResourceName(name) {
					return invalid(at+"Resources", "have a name without the ID of a zone")
				}
			}
		}
	}
	return nil
}

func lacksID(g PermissionGroup) bool { return strings.TrimSpace(g.ID) == "" }
