package vpcsim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// create makes an ENI in the Multus subnet.
func (s *scaled) create() string {
	s.t.Helper()
	made, err := s.ec2.CreateNetworkInterface(s.t.Context(), &ec2.CreateNetworkInterfaceInput{SubnetId: aws.String("subnet-n3")})
	if err != nil {
		s.t.Fatal(err)
	}
	return *made.NetworkInterface.NetworkInterfaceId
}

func (s *scaled) attach(eni, instance string, device, card int32) (string, error) {
	at, err := s.ec2.AttachNetworkInterface(s.t.Context(), &ec2.AttachNetworkInterfaceInput{
		NetworkInterfaceId: &eni, InstanceId: &instance, DeviceIndex: &device, NetworkCardIndex: &card})
	if err != nil {
		return "", err
	}
	return *at.AttachmentId, nil
}

// seen says how EC2 and the instance's metadata show an ENI.
func (s *scaled) seen(eni string) string {
	s.t.Helper()
	out, err := s.ec2.DescribeNetworkInterfaces(s.t.Context(), &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{eni}})
	if err != nil {
		return code(err)
	}
	e := out.NetworkInterfaces[0]
	text := string(e.Status)
	if e.Attachment == nil {
		return text
	}
	text += " " + string(e.Attachment.Status)
	if (virtual{Sim: s.Sim, t: s.t}).metadata(*e.Attachment.InstanceId, "network/interfaces/macs/"+*e.MacAddress+"/interface-id") == eni {
		text += ", in the metadata"
	}
	return text
}

func (s *scaled) remove(eni string) error {
	_, err := s.ec2.DeleteNetworkInterface(s.t.Context(), &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: &eni})
	return err
}

func (s *scaled) detach(attachment string, force bool) error {
	_, err := s.ec2.DetachNetworkInterface(s.t.Context(), &ec2.DetachNetworkInterfaceInput{AttachmentId: &attachment, Force: &force})
	return err
}

// running is an instance of the group that runs, in the Multus subnet's zone.
func (s *scaled) running() string {
	s.t.Helper()
	s.resize(1)
	time.Sleep(12 * time.Second)
	return *s.group().Instances[0].InstanceId
}

func (s *scaled) set(patch string) {
	s.t.Helper()
	if err := s.Set(patch); err != nil {
		s.t.Fatal(err)
	}
}

func TestAttachingAndDetachingTakeTime(t *testing.T) {
	inGroup(t, "", func(s *scaled) {
		instance, eni := s.running(), s.create()
		s.set(`{"attachTime":"3s"}`)
		at, err := s.attach(eni, instance, 1, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		step := func(what, want string) {
			s.t.Helper()
			if got := s.seen(eni); got != want {
				s.t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		step("at once", "in-use attaching")
		time.Sleep(3 * time.Second)
		step("after its time", "in-use attached, in the metadata")
		for range 2 { // a repeat changes nothing
			if err := s.detach(at, false); err != nil {
				s.t.Fatal(err)
			}
		}
		step("being detached", "in-use detaching, in the metadata")
		if got := describe(refusalOf(s.remove(eni))); got != "400 InvalidParameterValue Network interface '"+eni+"' is currently in use." {
			s.t.Errorf("deleting it meanwhile: %s", got)
		}
		time.Sleep(3 * time.Second)
		step("detached", "available")
		if at, err = s.attach(eni, instance, 1, 0); err != nil {
			s.t.Fatal(err)
		}
		if err := s.detach(at, true); err != nil {
			s.t.Fatal(err)
		}
		step("detached by force", "available")
		time.Sleep(3 * time.Second)
		step("what was planned before does not happen", "available")
		if err := s.remove(eni); err != nil {
			s.t.Error(err)
		}
		step("deleted", "InvalidNetworkInterfaceID.NotFound")
	})
}

func TestAnInstanceThatEndsWhileAnENIIsAttached(t *testing.T) {
	inGroup(t, "", func(s *scaled) {
		instance, eni := s.running(), s.create()
		s.set(`{"attachTime":"60s"}`)
		if _, err := s.attach(eni, instance, 1, 0); err != nil {
			s.t.Fatal(err)
		}
		s.resize(0)
		if _, err := s.attach(s.create(), instance, 2, 0); code(err) != "IncorrectState" {
			s.t.Errorf("attaching to one that shuts down: %v", err)
		}
		time.Sleep(20 * time.Second)
		if got := s.seen(eni); got != "available" {
			s.t.Errorf("the ENI is %s, want available: it is not deleted with the instance", got)
		}
		time.Sleep(time.Minute)
		if got := s.seen(eni); got != "available" {
			s.t.Errorf("later the ENI is %s", got)
		}
	})
}

func TestAttachingToAPendingInstance(t *testing.T) {
	for word, want := range map[string]string{
		"IncorrectState":         "400 IncorrectState Instance 'INSTANCE' is not 'running'.",
		"IncorrectInstanceState": "400 IncorrectInstanceState The pending-instance-creation instance to which 'ENI' is attached is not in a valid state for this operation",
		"InvalidInstanceID":      "400 InvalidInstanceID The pending instance 'INSTANCE' is not in a valid state for this operation.",
	} {
		inGroup(t, "", func(s *scaled) {
			s.set(`{"attachPendingCode":"` + word + `"}`)
			s.resize(1)
			instance, eni := *s.group().Instances[0].InstanceId, s.create()
			_, err := s.attach(eni, instance, 1, 0)
			if got, want := describe(refusalOf(err)), strings.NewReplacer("INSTANCE", instance, "ENI", eni).Replace(want); got != want {
				s.t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestPlacesOfAnInstance(t *testing.T) {
	top := strings.ReplaceAll(workers, "type: m5.xlarge", "type: two.cards") + `
instanceTypes: [{name: two.cards, interfaces: 5, addresses: 10, cards: 2}]
`
	type place struct{ device, card int32 }
	for _, tc := range []struct {
		name   string
		before []place
		at     place
		want   string // the code
	}{
		{"a place that is free", nil, place{1, 0}, "ok"},
		{"the same index on the other card", []place{{1, 0}}, place{1, 1}, "ok"},
		{"an index that is taken", []place{{1, 0}}, place{1, 0}, "InvalidParameterValue"},
		{"that of the first ENI", nil, place{0, 0}, "InvalidParameterValue"},
		{"a card that does not exist", nil, place{1, 2}, "InvalidParameterValue"},
		{"one more than the first card takes", []place{{1, 0}, {2, 0}}, place{3, 0}, "AttachmentLimitExceeded"},
		{"the last of the second card", []place{{1, 1}}, place{2, 1}, "ok"},
		{"one more than the second card takes", []place{{1, 1}, {2, 1}}, place{3, 1}, "AttachmentLimitExceeded"},
	} {
		inTopology(t, top, func(s *scaled) {
			instance := s.running()
			for _, p := range tc.before {
				if _, err := s.attach(s.create(), instance, p.device, p.card); err != nil {
					s.t.Fatal(err)
				}
			}
			if _, err := s.attach(s.create(), instance, tc.at.device, tc.at.card); code(err) != tc.want {
				s.t.Errorf("%s: %v, want %s", tc.name, err, tc.want)
			}
		})
	}
}

func TestTheAccountsQuotaOfENIs(t *testing.T) {
	inGroup(t, "", func(s *scaled) {
		s.set(`{"eniQuota":2}`)
		eni := s.create()
		s.create()
		another := func() error {
			_, err := s.ec2.CreateNetworkInterface(s.t.Context(), &ec2.CreateNetworkInterfaceInput{SubnetId: aws.String("subnet-n3")})
			return err
		}
		if got := describe(refusalOf(another())); !strings.HasPrefix(got, "400 NetworkInterfaceLimitExceeded The maximum number of network interfaces") {
			s.t.Errorf("a third: %s", got)
		}
		s.set(`{"eniQuotaCode":"LimitExceeded"}`)
		if got := code(another()); got != "LimitExceeded" {
			s.t.Errorf("with another code: %s", got)
		}
		s.resize(1)
		if got := s.states(); len(got) > 0 {
			s.t.Errorf("the group has %v, though its instance needs an ENI", got)
		}
		if e := s.one(0); e.Kind != "EC2 Instance Launch Unsuccessful" {
			s.t.Errorf("the event %+v", e)
		}
		if err := s.remove(eni); err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		s.want("Pending") // the group has tried again
	})
}

func TestARefusedCreateMayBindItsToken(t *testing.T) {
	inGroup(t, "", func(s *scaled) {
		create := func(address string) string {
			_, err := s.ec2.CreateNetworkInterface(s.t.Context(), &ec2.CreateNetworkInterfaceInput{
				SubnetId: aws.String("subnet-n3"), ClientToken: aws.String("T"), PrivateIpAddress: &address})
			return describe(refusalOf(err))
		}
		s.set(`{"refusedCreateBindsToken":true}`)
		taken := describeENI(&rig{t: s.t, ec2: s.ec2}, s.create())
		const mismatch, inUse = "400 IdempotentParameterMismatch Wrong arguments for token: T", "400 InvalidIPAddress.InUse The specified address is already in use."
		other := "10.10.3.200"
		if *taken.PrivateIpAddress == other {
			other = "10.10.3.201"
		}
		for _, step := range []struct{ name, address, want string }{
			{"an address in use", *taken.PrivateIpAddress, inUse},
			{"another one does not fit", other, mismatch},
			{"the same again", *taken.PrivateIpAddress, inUse},
		} {
			if got := create(step.address); got != step.want {
				s.t.Errorf("%s: %q, want %q", step.name, got, step.want)
			}
		}
		if err := s.remove(*taken.NetworkInterfaceId); err != nil {
			s.t.Fatal(err)
		}
		if got := create(*taken.PrivateIpAddress); got != describe(refusal{}) {
			s.t.Errorf("the same when it is free: %q", got)
		}
	})
}

func TestAnInstanceReadsTheStateItIsToReach(t *testing.T) {
	inGroup(t, "  hooks:\n"+launchHook+terminateHook, func(s *scaled) {
		s.resize(1)
		e := s.one(12 * time.Second)
		v := virtual{Sim: s.Sim, t: s.t}
		const key = "autoscaling/target-lifecycle-state"
		if got := v.metadata(e.Detail.Instance, key); got != "InService" {
			s.t.Errorf("while it is launched: %q", got)
		}
		s.mustComplete(e, "CONTINUE")
		s.resize(0)
		if got := v.metadata(e.Detail.Instance, key); got != "Terminated" {
			s.t.Errorf("while it ends: %q", got)
		}
	})
}

func TestDescriptionsOfENIs(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "ok",
		"a Z 9 ._-:/()#,@[]+=&;{}!$*": "ok",
		strings.Repeat("x", 255):      "ok",
		strings.Repeat("x", 256):      "InvalidParameterValue",
		"näh":                         "InvalidParameterValue",
		"a|b":                         "InvalidParameterValue",
		"a\nb":                        "InvalidParameterValue",
	} {
		r := start(t)
		made, err := r.ec2.CreateNetworkInterface(t.Context(), &ec2.CreateNetworkInterfaceInput{SubnetId: aws.String("subnet-multus-a"), Description: &text})
		if got := code(err); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
		if err != nil {
			continue
		}
		_, err = r.ec2.ModifyNetworkInterfaceAttribute(t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{
			NetworkInterfaceId: made.NetworkInterface.NetworkInterfaceId, Description: &types.AttributeValue{Value: aws.String(text + "|")}})
		if got := code(err); got != "InvalidParameterValue" {
			t.Errorf("changing it to %q: %s", text+"|", got)
		}
	}
}
