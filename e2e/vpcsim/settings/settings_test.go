package settings

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPatchChangesOnlyTheKeysItNames(t *testing.T) {
	store := NewStore(Defaults())
	got, err := store.Patch([]byte(`{"throttle":true,"imdsLag":"1.5s","dataPathLag":0.25,"imds":"down","deny":["CreateTags"]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.Throttle, want.IMDS, want.Deny = true, Down, []string{"CreateTags"}
	want.IMDSLag, want.DataPathLag = Duration(1500*time.Millisecond), Duration(250*time.Millisecond)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(want, store.Get()); diff != "" {
		t.Errorf("the store does not hold what Patch returned (-want +got)\n%s", diff)
	}
}

func TestBadPatchesChangeNothing(t *testing.T) {
	for _, tc := range []struct{ name, patch, want string }{
		{"an unknown key is named", `{"thrott1e":true}`, `unknown field "thrott1e"`},
		{"a value of the wrong kind", `{"throttle":"yes"}`, "throttle"},
		{"text that is not a duration", `{"imdsLag":"soon"}`, `"soon" is not a duration`},
		{"a duration of the wrong kind", `{"imdsLag":true}`, "neither a duration string nor a number"},
		{"a duration beyond all bounds", `{"imdsLag":1e300}`, "too long"},
		{"a negative duration", `{"imdsLag":"-1s"}`, "imdsLag is negative"},
		{"credentials that never live", `{"credentialsLifetime":0}`, "credentialsLifetime is zero"},
		{"a health that is none", `{"imds":"sick"}`, `imds is "sick", want one of`},
		{"an order that is none", `{"order":"alphabet"}`, `order is "alphabet", want "creation" or "random"`},
		{"an empty error code", `{"ipv6InUseCode":""}`, "ipv6InUseCode"},
		{"an error code that would break the XML", `{"noFreePrefixCode":"<a>"}`, "noFreePrefixCode"},
		{"a negative limit", `{"unattachedLimit":-1}`, "cannot be negative"},
		{"an array", `[]`, "cannot unmarshal array"},
		{"two objects", `{"throttle":true} {}`, "more than one JSON value"},
		{"text that is not JSON", `throttle`, "invalid character"},
		{"nothing", ``, "EOF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store := NewStore(Defaults())
			_, err := store.Patch([]byte(tc.patch))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want one with %q", err, tc.want)
			}
			if diff := cmp.Diff(Defaults(), store.Get()); diff != "" {
				t.Errorf("the settings changed (-want +got)\n%s", diff)
			}
		})
	}
}

func TestAPatchOfDenyLeavesEarlierSettingsAlone(t *testing.T) {
	store := NewStore(Defaults())
	first, err := store.Patch([]byte(`{"deny":["A","B"]}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Patch([]byte(`{"deny":["C"]}`)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"A", "B"}, first.Deny); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// FuzzWith checks that settings survive being written and read.
func FuzzWith(f *testing.F) {
	f.Add(`{"throttle":true,"imdsLag":"1.5s","dataPathLag":2}`)
	f.Add(`{"deny":null}`)
	f.Fuzz(func(t *testing.T, patch string) {
		s, err := Defaults().With([]byte(patch))
		if err != nil {
			return
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Defaults().With(text)
		if err != nil {
			t.Fatalf("cannot read %s: %v", text, err)
		}
		if diff := cmp.Diff(s, again); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}
