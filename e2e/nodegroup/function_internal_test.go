package nodegroup

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/event"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

func TestTheFunction(t *testing.T) {
	s := made(t)
	same(t, "function", fields{
		"Description": "Multus ENIs for the workers of telco/upf",
		"Runtime":     "provided.al2023", "Handler": "bootstrap", "Architectures": items{"arm64"}, "MemorySize": "256", "Timeout": "120",
		"Role": "<FunctionRole.Arn>", "Code": fields{"S3Bucket": "code", "S3Key": "v1.zip"},
		"LoggingConfig": fields{"LogGroup": "<LogGroup>"}, "DeadLetterConfig": fields{"TargetArn": "<DeadLetters.Arn>"},
		"Environment": fields{"Variables": fields{
			"NODEGROUP_NAME": "upf", "NODEGROUP_CLUSTER": "telco", "NODEGROUP_NETWORKS": parameters()["Networks"],
			"NODEGROUP_HOOKS": "multus-ipmgr/telco/upf", "NODEGROUP_ON_REFUSAL": "auto",
		}},
	}, s.properties("Function"))
	same(t, "invocations", fields{
		"FunctionName": "<Function>", "Qualifier": "$LATEST", "MaximumEventAgeInSeconds": "900", "MaximumRetryAttempts": "2",
	}, s.properties("Invocations"))
	same(t, "log group", fields{"RetentionInDays": "90"}, s.properties("LogGroup"))
	same(t, "dead letters", fields{"MessageRetentionPeriod": "1209600", "SqsManagedSseEnabled": "true"}, s.properties("DeadLetters"))
}

func TestTheFunctionUnderstandsItsSettings(t *testing.T) {
	for _, onRefusal := range list(object(object(readTemplate(t)["Parameters"])["OnRefusal"])["AllowedValues"]) {
		s := made(t, "OnRefusal="+str(onRefusal))
		var environ []string
		for name, value := range object(object(s.properties("Function")["Environment"])["Variables"]) {
			environ = append(environ, name+"="+str(value))
		}
		settings, err := spec.Parse(environ)
		if err != nil {
			t.Fatal(err)
		}
		hook := object(list(s.properties("AutoScalingGroup")["LifecycleHookSpecificationList"])[0])["LifecycleHookName"]
		same(t, "hooks", []string{str(hook)}, settings.Hooks)
		// What a worker calls its ENIs is what the networks say, without further parameters.
		var enis []string
		for _, n := range settings.Networks {
			enis = append(enis, fmt.Sprintf("%d=%s", n.DeviceIndex, n.HostName))
		}
		if _, shell := userData(t, s); !strings.Contains(shell, `"ENIS=`+strings.Join(enis, " ")+`"`) {
			t.Errorf("the networks want ENIS=%q, the worker has\n%s", enis, shell)
		}
	}
}

func TestTheRoleAllowsThisAndNothingElse(t *testing.T) {
	const account = "arn:aws:ec2:us-west-2:111122223333:"
	tags := func(kind string) fields {
		return fields{"StringEquals": fields{"aws:" + kind + "/" + nodegroup.TagCluster: "telco", "aws:" + kind + "/" + nodegroup.TagNodeGroup: "upf"}}
	}
	right := func(sid string, resource any, condition fields, actions ...any) fields {
		statement := fields{"Sid": sid, "Effect": "Allow", "Action": any(actions), "Resource": resource}
		if len(actions) == 1 {
			statement["Action"] = actions[0]
		}
		if condition != nil {
			statement["Condition"] = condition
		}
		return statement
	}
	eni, both := account+"network-interface/*", items{account + "network-interface/*", account + "instance/*"}
	want := items{
		right("Look", "*", nil, "ec2:DescribeInstances", "ec2:DescribeInstanceTypes", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
			"ec2:GetSubnetCidrReservations", "autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeAutoScalingInstances", "autoscaling:DescribeWarmPool"),
		right("CreateTagged", eni, tags("RequestTag"), "ec2:CreateNetworkInterface"),
		right("CreateInSubnet", "arn:aws:ec2:us-west-2:*:subnet/*", fields{"StringEquals": fields{"ec2:SubnetID": items{"subnet-a3", "subnet-b3", "subnet-a6"}}}, "ec2:CreateNetworkInterface"),
		right("CreateWithGroup", "arn:aws:ec2:us-west-2:*:security-group/*", fields{"StringEquals": fields{"ec2:SecurityGroupID": items{"sg-3", "sg-6"}}}, "ec2:CreateNetworkInterface"),
		right("TagNew", eni, fields{"StringEquals": fields{"ec2:CreateAction": "CreateNetworkInterface"}}, "ec2:CreateTags"),
		right("Attach", both, tags("ResourceTag"), "ec2:AttachNetworkInterface"),
		right("Detach", both, tags("ResourceTag"), "ec2:DetachNetworkInterface"),
		right("Modify", both, tags("ResourceTag"), "ec2:ModifyNetworkInterfaceAttribute"),
		right("Delete", items{eni}, tags("ResourceTag"), "ec2:DeleteNetworkInterface"),
		right("Answer", "arn:aws:autoscaling:us-west-2:111122223333:autoScalingGroup:*:autoScalingGroupName/*", tags("ResourceTag"),
			"autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"),
		right("Log", "<LogGroup.Arn>", nil, "logs:CreateLogStream", "logs:PutLogEvents"),
		right("GiveUp", "<DeadLetters.Arn>", nil, "sqs:SendMessage"),
	}
	role := made(t).properties("FunctionRole")
	policies := list(role["Policies"])
	if len(policies) != 1 || role["ManagedPolicyArns"] != nil {
		t.Fatalf("policies %v and %v; want one", policies, role["ManagedPolicyArns"])
	}
	same(t, "policy", any(fields{"Version": "2012-10-17", "Statement": want}), object(policies[0])["PolicyDocument"])
}

func TestTheSweepRunsEachMinute(t *testing.T) {
	s := made(t)
	same(t, "rule", fields{
		"Description": "What events did not say about telco/upf", "ScheduleExpression": "rate(1 minute)",
		"Targets": items{fields{"Id": "function", "Arn": "<Function.Arn>", "Input": `{"sweep":true}`}},
	}, s.properties("SweepRule"))
	input := str(object(list(s.properties("SweepRule")["Targets"])[0])["Input"])
	if e, err := event.Read([]byte(input), nil); err != nil || e.Purpose != event.Sweep {
		t.Errorf("the function reads %s as %+v, error %v", input, e, err)
	}
	for _, rule := range []string{"HookRule", "SweepRule"} {
		same(t, "permission of "+rule, fields{
			"FunctionName": "<Function>", "Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com", "SourceArn": "<" + rule + ".Arn>",
		}, s.properties(strings.TrimSuffix(rule, "Rule")+"Permission"))
		target := object(list(s.properties(rule)["Targets"])[0])
		if target["Arn"] != "<Function.Arn>" || s.properties(rule)["State"] != nil {
			t.Errorf("%s is not a rule for the function: %v", rule, s.properties(rule))
		}
	}
}

// matches judges an event by a pattern as EventBridge does, in as far as the
// template uses patterns: a list has the strings that a field may be, and a
// field that is missing matches nothing.
func matches(pattern, e map[string]any) bool {
	for name, want := range pattern {
		switch want := want.(type) {
		case map[string]any:
			if inner := object(e[name]); inner == nil || !matches(want, inner) {
				return false
			}
		case []any:
			if e[name] == nil || !slices.Contains(want, e[name]) {
				return false
			}
		default:
			return false
		}
	}
	return len(pattern) > 0
}

const (
	launchEvent = `{"version":"0","id":"12345678-1234-1234-1234-123456789012","detail-type":"EC2 Instance-launch Lifecycle Action","source":"aws.autoscaling",
		"account":"111122223333","time":"2026-11-26T10:00:00Z","region":"us-west-2",
		"resources":["arn:aws:autoscaling:us-west-2:111122223333:autoScalingGroup:87654321:autoScalingGroupName/telco-upf"],
		"detail":{"LifecycleActionToken":"87654321-4321-4321-4321-210987654321","AutoScalingGroupName":"telco-upf","LifecycleHookName":"multus-ipmgr/telco/upf",
		"EC2InstanceId":"i-1234567890abcdef0","LifecycleTransition":"autoscaling:EC2_INSTANCE_LAUNCHING","Origin":"EC2","Destination":"AutoScalingGroup"}}`
	successEvent = `{"version":"0","id":"x","detail-type":"EC2 Instance Launch Successful","source":"aws.autoscaling","account":"111122223333","time":"2026-11-26T10:00:00Z",
		"region":"us-west-2","resources":[],"detail":{"StatusCode":"InProgress","AutoScalingGroupName":"telco-upf","EC2InstanceId":"i-1234567890abcdef0"}}`
)

func TestEventsThatReachTheFunction(t *testing.T) {
	for _, tc := range []struct {
		name, event, old, new string
		want                  bool
	}{
		{name: "a launch", event: launchEvent, want: true},
		{"a launch into the warm pool", launchEvent, `"AutoScalingGroup"`, `"WarmPool"`, true},
		{"a replaced root volume", launchEvent, `"Origin":"EC2"`, `"Origin":"AutoScalingGroup","Action":"ReplaceRootVolume"`, true},
		{"the termination of an instance by a hook of that name", launchEvent, "LAUNCHING", "TERMINATING", true},
		{"another group of the cluster", launchEvent, "multus-ipmgr/telco/upf", "multus-ipmgr/telco/upf2", false},
		{"a group of that name of another cluster", launchEvent, "multus-ipmgr/telco/upf", "multus-ipmgr/other/upf", false},
		{"EKS's own hook", launchEvent, "multus-ipmgr/telco/upf", "Launch-LC-Hook", false},
		{"another service", launchEvent, "aws.autoscaling", "aws.ec2", false},
		{name: "a launch that succeeded", event: successEvent, want: false},
	} {
		var e map[string]any
		text := strings.Replace(tc.event, tc.old, tc.new, 1)
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		pattern := object(made(t).properties("HookRule")["EventPattern"])
		if got := matches(pattern, e); got != tc.want {
			t.Errorf("%s: matches %v; want %v", tc.name, got, tc.want)
		}
		if got, err := event.Read([]byte(text), []string{spec.DefaultHook("telco", "upf")}); err != nil || (got.Purpose != event.Ignore) != tc.want {
			t.Errorf("%s: the function reads %+v, error %v", tc.name, got, err)
		}
	}
}

func TestAlarms(t *testing.T) {
	s := made(t, "AlarmTopic=arn:aws:sns:us-west-2:111122223333:oncall")
	for name, particular := range map[string]fields{
		"RefusalAlarm":       {"Namespace": "multus-ipmgr/telco/upf", "MetricName": "Refusals", "Statistic": "Sum", "Period": "60"},
		"SweepDeletionAlarm": {"Namespace": "multus-ipmgr/telco/upf", "MetricName": "SweepDeletions", "Statistic": "Sum", "Period": "300"},
		"DeadLetterAlarm": {"Namespace": "AWS/SQS", "MetricName": "ApproximateNumberOfMessagesVisible", "Statistic": "Maximum", "Period": "60",
			"Dimensions": items{fields{"Name": "QueueName", "Value": "<DeadLetters.QueueName>"}}},
	} {
		got := maps.Clone(s.properties(name))
		if !strings.Contains(str(got["AlarmDescription"]), "telco/upf") {
			t.Errorf("%s does not say whose it is: %v", name, got["AlarmDescription"])
		}
		delete(got, "AlarmDescription")
		maps.Copy(particular, fields{
			"Threshold": "1", "ComparisonOperator": "GreaterThanOrEqualToThreshold", "EvaluationPeriods": "1",
			"TreatMissingData": "notBreaching", "AlarmActions": items{"arn:aws:sns:us-west-2:111122223333:oncall"},
		})
		same(t, name, particular, got)
		if made(t).properties(name)["AlarmActions"] != nil {
			t.Errorf("%s notifies somebody without a topic", name)
		}
	}
	for filter, alarm := range map[string]string{"RefusalFilter": "RefusalAlarm", "DeletionFilter": "SweepDeletionAlarm"} {
		made := object(list(s.properties(filter)["MetricTransformations"])[0])
		same(t, filter, fields{"MetricNamespace": s.properties(alarm)["Namespace"], "MetricName": s.properties(alarm)["MetricName"], "MetricValue": "1"}, made)
		same(t, "log of "+filter, any("<LogGroup>"), s.properties(filter)["LogGroupName"])
		pattern := str(s.properties(filter)["FilterPattern"])
		message, found := strings.CutPrefix(strings.TrimSuffix(pattern, " }"), "{ $.msg = ")
		if !found || !logged(t, message) {
			t.Errorf("%s waits for %s, which the function does not log", filter, pattern)
		}
	}
}

// logged reports whether the function's source has a message.
func logged(t *testing.T, message string) bool {
	t.Helper()
	files, err := filepath.Glob("../../nodegroup/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	return slices.ContainsFunc(files, func(name string) bool {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(data), "log.Error("+message) || strings.Contains(string(data), "Log.Warn("+message)
	})
}

func TestOutputs(t *testing.T) {
	outputs := func(s *stack) fields {
		values := fields{}
		for name, output := range object(s.template["Outputs"]) {
			if condition, ok := object(output)["Condition"].(string); !ok || s.holds(condition) {
				values[name] = s.resolve(object(output)["Value"])
			}
		}
		return values
	}
	half := fields{ // what a group needs that exists
		"HookName": spec.DefaultHook("telco", "upf"), "GroupTags": nodegroup.TagCluster + "=telco," + nodegroup.TagNodeGroup + "=upf",
		"FunctionName": "<Function>", "LogGroupName": "<LogGroup>", "DeadLetterQueue": "<DeadLetters>",
	}
	same(t, "outputs of the function's half", half, outputs(made(t, "CreateGroup=false")))
	maps.Copy(half, fields{"AutoScalingGroupName": "<AutoScalingGroup>", "NodeRoleArn": "<NodeRole.Arn>"})
	same(t, "outputs", half, outputs(made(t)))
}
