package query

import (
	"errors"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
)

func TestListsKeepTheirOrderAndForgiveGaps(t *testing.T) {
	p, err := ParseQuery("A.10=ten&A.2=two&A.1=one&A.x=no&A.0=no&A.01=no&A.3.B=deep&Ab.1=other&A=none")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one", "two", "ten"}, p.List("A")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]Params{{}, {}, {"B": "deep"}, {}}, p.Each("A")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestShapesReplaceIndicesOnly(t *testing.T) {
	for name, want := range map[string]string{
		"Filter.1.Value.20":                   "Filter.N.Value.N",
		"Ipv4Prefix.3.Ipv4Prefix":             "Ipv4Prefix.N.Ipv4Prefix",
		"Filter.0.Name":                       "Filter.0.Name",
		"Filter.99999999999999999999999.Name": "Filter.99999999999999999999999.Name",
		"1":                                   "1",
	} {
		if got := Shape(name); got != want {
			t.Errorf("Shape(%s) = %s, want %s", name, got, want)
		}
	}
}

func TestBadValuesAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name, form string
		read       func(Params) error
		want       string
	}{
		{"a number that is none", "MaxResults=ten", func(p Params) error { _, err := p.Int("MaxResults"); return err },
			"InvalidParameterValue: Value (ten) for parameter maxResults is invalid. Expecting an integer."},
		{"a number that is too large", "N=99999999999", func(p Params) error { _, err := p.Int("N"); return err },
			"InvalidParameterValue: Value (99999999999) for parameter n is invalid. Expecting an integer."},
		{"a truth value that is none", "AllowReassignment=yes", func(p Params) error { _, err := p.Is("AllowReassignment"); return err },
			"InvalidParameterValue: Value (yes) for parameter allowReassignment is invalid. Expecting true or false."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := ParseQuery(tc.form)
			if err != nil {
				t.Fatal(err)
			}
			if err := tc.read(p); err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
	for form, want := range map[string]string{"a=%zz": "MalformedQueryString", "a=1&a=2": "InvalidParameterCombination"} {
		var refusal *apierr.Error
		if _, err := ParseQuery(form); !errors.As(err, &refusal) || refusal.Code != want {
			t.Errorf("%s: got %v, want %s", form, err, want)
		}
	}
}

// FuzzParseQuery looks for panics, and for parameters that are lost or made up.
func FuzzParseQuery(f *testing.F) {
	f.Add("Action=DescribeNetworkInterfaces&Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1&Version=2016-11-15")
	f.Add("A.1.B.2=%20&A=+&=x")
	f.Fuzz(func(t *testing.T, form string) {
		p, err := ParseQuery(form)
		if err != nil {
			return
		}
		values, err := url.ParseQuery(form)
		if err != nil || len(values) != len(p) {
			t.Errorf("%d parameters of %d, %v", len(p), len(values), err)
		}
		for name := range p {
			Shape(name)
			p.List(name)
			p.Each(name)
			_, _ = p.Int(name)
			_, _ = p.Bool(name)
		}
	})
}
