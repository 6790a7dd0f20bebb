package nodegroup

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

type (
	fields = map[string]any
	items  = []any
)

// same compares what a template yields with what is wanted.
func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

func TestCfnLintFindsNothing(t *testing.T) {
	lint, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Skip("cfn-lint is not installed here (pip install cfn-lint): the template's structure is judged by the other tests alone")
	}
	if out, err := exec.CommandContext(t.Context(), lint, templateFile).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Each exception from cfn-lint's rules is one that this test knows.
func TestTheOneExceptionFromCfnLint(t *testing.T) {
	for name, resource := range object(readTemplate(t)["Resources"]) {
		exception := object(object(resource)["Metadata"])["cfn-lint"]
		if object(resource)["Type"] == "AWS::EC2::SubnetCidrReservation" {
			same(t, name, fields{"config": fields{"ignore_checks": items{"E3006"}}}, exception)
		} else if exception != nil {
			t.Errorf("%s has the exception %v", name, exception)
		}
	}
	if object(readTemplate(t)["Metadata"])["cfn-lint"] != nil {
		t.Error("there is an exception for the whole template")
	}
}

func TestTheTemplateIsABodyInLine(t *testing.T) {
	info, err := os.Stat(templateFile)
	if err != nil || info.Size() > 51200 {
		t.Errorf("%d bytes, error %v; CloudFormation takes 51,200", info.Size(), err)
	}
	declared := object(readTemplate(t)["Parameters"])
	for _, name := range []string{
		"ClusterName", "ApiServerEndpoint", "CertificateAuthority", "ServiceCidr", "NodeGroupName", "ImageId", "NodeSecurityGroups",
		"Networks", "NetworkSubnets", "NetworkSecurityGroups", "Subnets", "InstanceTypes", "MinSize", "DesiredCapacity", "MaxSize",
		"PodReservation1", "PodReservation12", "ImdsHopLimit", "CodeBucket", "CodeKey", "OnRefusal", "AccessEntry", "CreateGroup",
	} {
		if declared[name] == nil {
			t.Errorf("there is no parameter %s", name)
		}
	}
}

func TestRangesOfPodsAreReserved(t *testing.T) {
	var more []string
	want := map[string]any{}
	for i := 1; i <= 12; i++ {
		name, cidr := fmt.Sprintf("Reservation%d", i), fmt.Sprintf("10.10.1.%d/28", i*16)
		more = append(more, "Pod"+name+"=subnet-a3="+cidr)
		want[name] = fields{"SubnetId": "subnet-a3", "Cidr": cidr, "ReservationType": "explicit", "Description": "pods of telco"}
		one := made(t, more[i-1])
		same(t, "only "+name, map[string]any{name: want[name]}, reservations(one))
		if !one.before(name, "AutoScalingGroup") {
			t.Errorf("the group may be there before %s", name)
		}
	}
	same(t, "all", want, reservations(made(t, more...)))
	same(t, "none", map[string]any{}, reservations(made(t)))
}

func reservations(s *stack) map[string]any {
	found := map[string]any{}
	for name, resource := range s.resources {
		if resource["Type"] == "AWS::EC2::SubnetCidrReservation" {
			found[name] = s.properties(name)
		}
	}
	return found
}

func TestWhatTheStackIsMadeOf(t *testing.T) {
	got := map[string]any{}
	s := made(t)
	for name, resource := range s.resources {
		got[name] = resource["Type"]
	}
	same(t, "resources", map[string]any{
		"AutoScalingGroup": "AWS::AutoScaling::AutoScalingGroup", "LaunchTemplate": "AWS::EC2::LaunchTemplate",
		"NodeRole": "AWS::IAM::Role", "NodeProfile": "AWS::IAM::InstanceProfile", "NodeEntry": "AWS::EKS::AccessEntry",
		"Function": "AWS::Lambda::Function", "FunctionRole": "AWS::IAM::Role", "Invocations": "AWS::Lambda::EventInvokeConfig",
		"LogGroup": "AWS::Logs::LogGroup", "DeadLetters": "AWS::SQS::Queue",
		"HookRule": "AWS::Events::Rule", "HookPermission": "AWS::Lambda::Permission",
		"SweepRule": "AWS::Events::Rule", "SweepPermission": "AWS::Lambda::Permission",
		"RefusalFilter": "AWS::Logs::MetricFilter", "DeletionFilter": "AWS::Logs::MetricFilter",
		"RefusalAlarm": "AWS::CloudWatch::Alarm", "DeadLetterAlarm": "AWS::CloudWatch::Alarm", "SweepDeletionAlarm": "AWS::CloudWatch::Alarm",
	}, got)
	for _, role := range []string{"NodeRole", "FunctionRole"} {
		service := map[string]string{"NodeRole": "ec2", "FunctionRole": "lambda"}[role] + ".amazonaws.com"
		same(t, "trust of "+role, any(fields{
			"Version":   "2012-10-17",
			"Statement": items{fields{"Effect": "Allow", "Principal": fields{"Service": service}, "Action": "sts:AssumeRole"}},
		}), s.properties(role)["AssumeRolePolicyDocument"])
	}
	same(t, "profile", fields{"Roles": items{"<NodeRole>"}}, s.properties("NodeProfile"))
}

func TestNobodyIsLaunchedBeforeTheFunctionCanServe(t *testing.T) {
	s := made(t, "PodReservation3=subnet-a3=10.10.1.64/26")
	for _, first := range []string{"HookRule", "HookPermission", "SweepRule", "SweepPermission", "Function", "FunctionRole", "Invocations", "NodeEntry", "Reservation3", "LaunchTemplate"} {
		if !s.before(first, "AutoScalingGroup") {
			t.Errorf("the group may be there before %s, and stay when that is deleted", first)
		}
	}
	for name := range s.resources { // which ends, unless it is circular
		if s.before(name, name) || s.before("AutoScalingGroup", name) {
			t.Errorf("%s needs itself or the group", name)
		}
	}
}

func TestTheGroupHasItsHookFromTheStart(t *testing.T) {
	for _, types := range []string{"m6i.large", "m6i.large,m7i.large,m8i.large", "m6i.large,m7i.large,m8i.large,m6a.large"} {
		policy := object(object(made(t, "InstanceTypes="+types).properties("AutoScalingGroup")["MixedInstancesPolicy"])["LaunchTemplate"])
		want := items{}
		for name := range strings.SplitSeq(types, ",") {
			want = append(want, fields{"InstanceType": name})
		}
		same(t, types, any(want), policy["Overrides"])
	}
	s := made(t, "InstanceTypes=m6i.4xlarge,m7i.4xlarge", "MinSize=1", "DesiredCapacity=3", "MaxSize=9")
	same(t, "group", fields{
		"MinSize": "1", "DesiredCapacity": "3", "MaxSize": "9", "VPCZoneIdentifier": items{"subnet-a1", "subnet-b1"},
		"LifecycleHookSpecificationList": items{fields{
			"LifecycleHookName": spec.DefaultHook("telco", "upf"), "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
			"HeartbeatTimeout": "300", "DefaultResult": "ABANDON",
		}},
		"MixedInstancesPolicy": fields{
			"InstancesDistribution": fields{"OnDemandAllocationStrategy": "prioritized", "OnDemandPercentageAboveBaseCapacity": "100"},
			"LaunchTemplate": fields{
				"LaunchTemplateSpecification": fields{"LaunchTemplateId": "<LaunchTemplate>", "Version": "<LaunchTemplate.LatestVersionNumber>"},
				"Overrides":                   items{fields{"InstanceType": "m6i.4xlarge"}, fields{"InstanceType": "m7i.4xlarge"}},
			},
		},
		"Tags": items{
			fields{"Key": nodegroup.TagCluster, "Value": "telco", "PropagateAtLaunch": "true"},
			fields{"Key": nodegroup.TagNodeGroup, "Value": "upf", "PropagateAtLaunch": "true"},
			fields{"Key": "kubernetes.io/cluster/telco", "Value": "owned", "PropagateAtLaunch": "true"},
			fields{"Key": "Name", "Value": "telco-upf", "PropagateAtLaunch": "true"},
		},
	}, s.properties("AutoScalingGroup"))
	for name, resource := range s.resources {
		if resource["Type"] == "AWS::AutoScaling::LifecycleHook" {
			t.Errorf("%s is a hook that comes after the group", name)
		}
	}
}

func TestTheFunctionsHalfAlone(t *testing.T) {
	s := made(t, "CreateGroup=false", "ApiServerEndpoint=", "CertificateAuthority=", "ServiceCidr=")
	same(t, "resources", []string{
		"DeadLetterAlarm", "DeadLetters", "DeletionFilter", "Function", "FunctionRole", "HookPermission", "HookRule", "Invocations", "LogGroup",
		"RefusalAlarm", "RefusalFilter", "SweepDeletionAlarm", "SweepPermission", "SweepRule",
	}, slices.Sorted(maps.Keys(s.resources)))
}

func TestWorkersJoinByAnAccessEntry(t *testing.T) {
	same(t, "access entry", fields{"ClusterName": "telco", "PrincipalArn": "<NodeRole.Arn>", "Type": "EC2_LINUX"}, made(t).properties("NodeEntry"))
	if s := made(t, "AccessEntry=false"); s.resources["NodeEntry"] != nil {
		t.Error("there is an access entry though the aws-auth ConfigMap is to be used")
	}
	policy := "arn:aws:iam::aws:policy/"
	want := items{policy + "AmazonEKSWorkerNodePolicy", policy + "AmazonEC2ContainerRegistryPullOnly", policy + "AmazonSSMManagedInstanceCore"}
	same(t, "policies", want, made(t, "NodeCniPolicy=false").properties("NodeRole")["ManagedPolicyArns"])
	same(t, "policies with the VPC CNI's", append(want, policy+"AmazonEKS_CNI_Policy"), made(t).properties("NodeRole")["ManagedPolicyArns"])
}

// userData is what a worker finds: nodeadm's configuration, and the shell part.
func userData(t *testing.T, s *stack) (config fields, shell string) {
	t.Helper()
	text, encoded := strings.CutPrefix(str(object(s.properties("LaunchTemplate")["LaunchTemplateData"])["UserData"]), "base64 of ")
	if len(text) > 16<<10 || !encoded {
		t.Errorf("user data has %d bytes, in Base64: %v; EC2 takes 16 KB in Base64", len(text), encoded)
	}
	message, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	_, parameters, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := []string{}
	for parts := multipart.NewReader(message.Body, parameters["boundary"]); ; {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		kinds = append(kinds, kind)
		if kind == "text/x-shellscript" {
			shell = string(data)
		} else if err := yaml.Unmarshal(data, &config); err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
	}
	same(t, "parts", []string{"application/node.eks.aws", "text/x-shellscript"}, kinds)
	return config, shell
}

func nodeConfig(maxPods string, flags ...any) fields {
	return fields{
		"apiVersion": "node.eks.aws/v1alpha1", "kind": "NodeConfig",
		"spec": fields{
			"cluster": fields{
				"name": "telco", "apiServerEndpoint": "https://example.eks.amazonaws.com", "certificateAuthority": "QUJD", "cidr": "172.20.0.0/16",
			},
			"kubelet": fields{"maxPodsExpression": maxPods, "flags": flags},
		},
	}
}

func TestAWorkerRegistersWithItsLabelAndTaint(t *testing.T) {
	config, _ := userData(t, made(t))
	same(t, "two networks", nodeConfig("((default_enis - 2) * (ips_per_eni - 1)) + 2",
		"--node-labels="+nodegroup.TagNodeGroup+"=upf", "--register-with-taints=multus-ipmgr.io/enis-not-ready=2:NoSchedule"), config)
	config, _ = userData(t, made(t, "StartupTaint=false", "NetworkCount=1", "NodeLabels=pool=a,is_worker=true"))
	same(t, "without the taint", nodeConfig("((default_enis - 1) * (ips_per_eni - 1)) + 2",
		"--node-labels="+nodegroup.TagNodeGroup+"=upf,pool=a,is_worker=true"), config)
}

func TestAWorkerHasTheScriptAndRunsItAtEachBoot(t *testing.T) {
	want, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	_, shell := userData(t, made(t))
	_, after, _ := strings.Cut(shell, "cat >/usr/local/sbin/multus-enis <<'END_OF_SCRIPT'\n")
	got, after, found := strings.Cut(after, "END_OF_SCRIPT\n")
	if diff := cmp.Diff(string(want), got); diff != "" || !found {
		t.Errorf("the worker's script is not that of %s: run make generate (-want +got)\n%s", script, diff)
	}
	install, unit, _ := strings.Cut(after, "<<'END_OF_UNIT'\n")
	same(t, "installation", "chmod 755 /usr/local/sbin/multus-enis\ncat >/etc/systemd/system/multus-enis.service ", install)
	unit, start, _ := strings.Cut(unit, "END_OF_UNIT\n")
	same(t, "unit", `[Unit]
Description=Multus ENIs of this worker
After=systemd-networkd.service nodeadm-boot-hook.service
Before=nodeadm-run.service

[Service]
Type=oneshot
RemainAfterExit=yes
Environment="ENIS=1=eth1 2=eth2"
ExecStart=/usr/local/sbin/multus-enis
Restart=on-failure
RestartSec=30
RestartPreventExitStatus=2

[Install]
WantedBy=multi-user.target
`, unit)
	same(t, "start", "systemctl daemon-reload\nsystemctl enable --now multus-enis.service\n", start)
	if _, shell := userData(t, made(t, "HostNames=1=n3 1.1=n6")); !strings.Contains(shell, `"ENIS=1=n3 1.1=n6"`) {
		t.Error("the worker does not get its own names of the ENIs")
	}
	file := filepath.Join(t.TempDir(), "user-data")
	if err := os.WriteFile(file, []byte(shell), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "bash", "-n", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestIMDSAnswersWithATokenOnly(t *testing.T) {
	for _, hops := range []string{"1", "2"} {
		data := object(made(t, "ImdsHopLimit="+hops).properties("LaunchTemplate")["LaunchTemplateData"])
		same(t, "metadata options", fields{"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": hops}, object(data["MetadataOptions"]))
		delete(data, "UserData")
		delete(data, "MetadataOptions")
		same(t, "launch template", fields{
			"ImageId": made(t).values["ImageId"], "InstanceType": "m6i.4xlarge", "SecurityGroupIds": items{"sg-1"}, "IamInstanceProfile": fields{"Arn": "<NodeProfile.Arn>"},
		}, data)
	}
}
