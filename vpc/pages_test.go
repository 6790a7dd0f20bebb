package vpc_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/time/rate"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

func TestMoreSubnetsThanOneCallTakes(t *testing.T) {
	for _, n := range []int{1, 199, 200, 201, 600} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r := newRig(t, worker)
			var s vpc.Selection
			for i := range n - 1 {
				s.IDs = append(s.IDs, fmt.Sprintf("subnet-%05d", i))
			}
			s.IDs = append(s.IDs, "subnet-c")
			subnets, err := r.client.Subnets(t.Context(), s)
			if _, found := subnets["subnet-c"]; err != nil || !found || len(subnets) != 1 {
				t.Fatalf("got %v, %v; want the one that exists, which is the last", subnets, err)
			}
			if calls, want := r.calls["DescribeSubnets ok false"], (n+199)/200; calls != want {
				t.Errorf("%d calls, want %d", calls, want)
			}
		})
	}
}

// paged is an EC2 that answers each call with the next token, and with one item
// where there is one.
type paged struct {
	token func(page int) string
	item  func(page int) bool
	page  int
}

// RoundTrip implements http.RoundTripper.
func (p *paged) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	p.page++
	list := map[string][2]string{
		"DescribeSubnets":           {"subnetSet", "subnetId"},
		"DescribeNetworkInterfaces": {"networkInterfaceSet", "networkInterfaceId"},
		"GetSubnetCidrReservations": {"subnetIpv4CidrReservationSet", "subnetCidrReservationId"},
	}[form.Get("Action")]
	var items string
	if p.item(p.page) {
		items = fmt.Sprintf("<item><%s>x-%d</%[1]s><cidr>10.0.0.0/28</cidr></item>", list[1], p.page)
	}
	text := fmt.Sprintf("<%[4]sResponse><%[1]s>%[2]s</%[1]s><nextToken>%[3]s</nextToken></%[4]sResponse>", list[0], items, p.token(p.page), form.Get("Action"))
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r,
	}, nil
}

func TestListsEndWithTheirLastPage(t *testing.T) {
	every := func(int) bool { return true }
	numbered := func(last int) func(int) string {
		return func(page int) string {
			if page == last {
				return ""
			}
			return fmt.Sprintf("t%d", page)
		}
	}
	lists := map[string]func(context.Context, *vpc.Client) (int, error){
		"DescribeSubnets": func(ctx context.Context, c *vpc.Client) (int, error) {
			got, err := c.Subnets(ctx, vpc.Selection{TagKey: "a", TagValue: "b"})
			return len(got), err
		},
		"GetSubnetCidrReservations": func(ctx context.Context, c *vpc.Client) (int, error) {
			got, err := c.Reservations(ctx, "subnet-a")
			return len(got), err
		},
		"DescribeNetworkInterfaces": func(ctx context.Context, c *vpc.Client) (int, error) {
			got, err := c.ENIs(ctx, "subnet-a")
			return len(got), err
		},
	}
	for _, tc := range []struct {
		name  string
		token func(int) string
		item  func(int) bool
		items int
		pages int
		code  string
	}{
		{name: "one page", token: numbered(1), item: every, items: 1, pages: 1},
		{name: "empty pages with a token, before, between and after", token: numbered(7),
			item: func(page int) bool { return page == 3 || page == 5 }, items: 2, pages: 7},
		{name: "a list of empty pages", token: numbered(4), item: func(int) bool { return false }, pages: 4},
		{name: "the same token again", token: func(int) string { return "t" }, item: every, pages: 2, code: fault.CodeEndless},
		{name: "tokens in a circle", token: func(page int) string { return fmt.Sprintf("t%d", page%5) }, item: every, pages: 6, code: fault.CodeEndless},
		{name: "no end", token: numbered(0), item: func(int) bool { return false }, pages: 2000, code: fault.CodeEndless},
	} {
		for action, list := range lists {
			t.Run(tc.name+": "+action, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // calls keep below EC2's budget
					cloud := &paged{token: tc.token, item: tc.item}
					c := vpc.New(vpc.Options{
						Config: settings(aws.Config{HTTPClient: &http.Client{Transport: cloud}}),
						Reads:  rate.NewLimiter(5, 20),
					})
					n, err := list(t.Context(), c)
					if fault.CodeOf(err) != tc.code || n != tc.items || cloud.page != tc.pages {
						t.Errorf("%d items in %d pages, %v; want %d in %d, code %q", n, cloud.page, err, tc.items, tc.pages, tc.code)
					}
					if err != nil && fault.MeaningOf(err) != fault.Transient {
						t.Errorf("kind %v of %v, want one that is tried again", fault.MeaningOf(err), err)
					}
				})
			})
		}
	}
}
