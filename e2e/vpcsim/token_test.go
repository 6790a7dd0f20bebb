package vpcsim_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// TestClientTokens sends a request, then another with the same token, and looks
// for what EC2 was recorded to answer.
func TestClientTokens(t *testing.T) {
	inUse := refusal{400, "InvalidIPAddress.InUse", "The specified address is already in use."}
	mismatch := func(text string) refusal { return refusal{400, "IdempotentParameterMismatch", text} }
	type input = ec2.CreateNetworkInterfaceInput
	chosen := func(in *input) { in.PrivateIpAddress = aws.String("10.10.1.70") }
	auto := func(in *input) { in.Groups = []string{"sg-1", "sg-2"} }
	for _, tc := range []struct {
		name   string
		first  func(*input)
		remove bool // the ENI before the repeat
		repeat func(*input)
		want   refusal // none: the same ENI
	}{
		{name: "a chosen address: the same again finds it in use", first: chosen, repeat: func(*input) {}, want: inUse},
		{name: "with another description too", first: chosen, repeat: func(in *input) { in.Description = aws.String("x") }, want: inUse},
		{name: "with another free address the token does not fit", first: chosen,
			repeat: func(in *input) { in.PrivateIpAddress = aws.String("10.10.1.71") }, want: mismatch("Wrong arguments for token: Token")},
		{name: "in another subnet the address is looked at first", first: chosen,
			repeat: func(in *input) { in.SubnetId = aws.String("subnet-mgmt-a") }, want: value("Address does not fall within the subnet's address range")},
		{name: "after the ENI was deleted", first: chosen, remove: true, repeat: func(*input) {},
			want: mismatch("The request with token: Token is stale")},
		{name: "no address chosen: the same again is the same ENI", first: auto, repeat: func(*input) {}},
		{name: "groups in another order", first: auto, repeat: func(in *input) { in.Groups = []string{"sg-2", "sg-1"} }},
		{name: "blanks around the token", first: auto, repeat: func(in *input) { in.ClientToken = aws.String("  Token ") }},
		{name: "other tags", first: auto, repeat: func(in *input) {
			in.TagSpecifications = []types.TagSpecification{{ResourceType: types.ResourceTypeNetworkInterface,
				Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("2")}}}}
		}},
		{name: "another description", first: auto, repeat: func(in *input) { in.Description = aws.String("x") }, want: mismatch("Wrong arguments for token: Token")},
		{name: "other groups", first: auto, repeat: func(in *input) { in.Groups = []string{"sg-1"} }, want: mismatch("Wrong arguments for token: Token")},
		{name: "another subnet", first: auto, repeat: func(in *input) { in.SubnetId = aws.String("subnet-mgmt-a") }, want: mismatch("Wrong arguments for token: Token")},
		{name: "a count of secondaries", first: auto, repeat: func(in *input) { in.SecondaryPrivateIpAddressCount = aws.Int32(1) },
			want: mismatch("Wrong arguments for token: Token")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := start(t)
			in := func(change ...func(*input)) *input {
				made := &input{SubnetId: aws.String("subnet-multus-a"), ClientToken: aws.String("Token")}
				for _, f := range change {
					f(made)
				}
				return made
			}
			first, err := r.ec2.CreateNetworkInterface(t.Context(), in(tc.first))
			if err != nil {
				t.Fatal(err)
			}
			e := first.NetworkInterface
			if tc.remove {
				if _, err := r.ec2.DeleteNetworkInterface(t.Context(), &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: e.NetworkInterfaceId}); err != nil {
					t.Fatal(err)
				}
			}
			enis := len(r.sim.ENIs())
			again := in(tc.first, tc.repeat)
			second, err := r.ec2.CreateNetworkInterface(t.Context(), again)
			if got := refusalOf(err); got != tc.want {
				t.Fatalf("got %+v (%v), want %+v", got, err, tc.want)
			}
			if len(r.sim.ENIs()) != enis {
				t.Errorf("%d ENIs, want %d", len(r.sim.ENIs()), enis)
			}
			if err != nil {
				return
			}
			s := second.NetworkInterface
			got := fmt.Sprintf("%s %s %s %d", *s.NetworkInterfaceId, *s.PrivateIpAddress, s.Status, len(s.TagSet))
			want := fmt.Sprintf("%s %s pending %d", *e.NetworkInterfaceId, *e.PrivateIpAddress, len(again.TagSpecifications))
			if got != want || second.ClientToken != nil {
				t.Errorf("the repeat is %q, want %q; token %v, want none", got, want, second.ClientToken)
			}
		})
	}
}

func TestTokensThatAreOdd(t *testing.T) {
	r := start(t)
	send := func(token string) refusal {
		_, err := r.ec2.CreateNetworkInterface(t.Context(), &ec2.CreateNetworkInterfaceInput{
			SubnetId: aws.String("subnet-multus-a"), ClientToken: &token,
		})
		return refusalOf(err)
	}
	for _, token := range []string{"", "   "} {
		if got := send(token); got.Status != 500 || got.Code != "InternalError" {
			t.Errorf("token %q: %+v", token, got)
		}
	}
	if got := send(strings.Repeat("x", 65)); got != (refusal{}) {
		t.Errorf("65 characters: %+v", got)
	}
	if got := send("Case"); got != (refusal{}) {
		t.Errorf("got %+v", got)
	}
	got := send("cAsE")
	if got.Code != "IdempotentParameterMismatch" || !strings.HasPrefix(got.Message, "Idempotency token case is not valid for resource interface-") {
		t.Errorf("the same in other case: %+v", got)
	}
}

func TestARefusedRequestDoesNotBindItsToken(t *testing.T) {
	r := start(t)
	in := &ec2.CreateNetworkInterfaceInput{SubnetId: aws.String("subnet-multus-a"), ClientToken: aws.String("T"), PrivateIpAddress: aws.String("10.10.1.11")}
	if _, err := r.ec2.CreateNetworkInterface(t.Context(), in); code(err) != "InvalidIPAddress.InUse" {
		t.Fatalf("got %v", err)
	}
	in.PrivateIpAddress = aws.String("10.10.1.70")
	if _, err := r.ec2.CreateNetworkInterface(t.Context(), in); err != nil {
		t.Error(err)
	}
}

func TestAnENIIsPendingUntilItIsDescribed(t *testing.T) {
	r := start(t)
	made, err := r.ec2.CreateNetworkInterface(t.Context(), &ec2.CreateNetworkInterfaceInput{SubnetId: aws.String("subnet-multus-a")})
	if err != nil || made.NetworkInterface.Status != "pending" {
		t.Fatalf("%v, %v", made, err)
	}
	out, err := r.ec2.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{
		NetworkInterfaceIds: []string{*made.NetworkInterface.NetworkInterfaceId},
	})
	if err != nil || out.NetworkInterfaces[0].Status != types.NetworkInterfaceStatusAvailable {
		t.Errorf("%v, %v", out, err)
	}
}
