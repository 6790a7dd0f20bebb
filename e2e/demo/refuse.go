package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/cluster"
)

// command is what a refusal tells the user to run.
var command = regexp.MustCompile(`aws ec2 create-subnet-cidr-reservation --subnet-id (\S+) --cidr (\S+) --reservation-type explicit`)

// refuse lets the webhook refuse a network, and does what it says.
func (d *demo) refuse(ctx context.Context) error {
	const apply = "$ kubectl apply -f e2e/demo/planned.yaml"
	planned, err := load(plannedYAML)
	if err != nil {
		return err
	}
	d.tell.Say(apply)
	err = d.cluster.CreateNAD(ctx, planned.nads[0])
	denied, ok := errors.AsType[*cluster.Denied](err)
	if !ok {
		return fmt.Errorf("a network whose addresses are not reserved was not refused: %w", err)
	}
	d.tell.Show(denied.Error())
	fix := command.FindStringSubmatch(denied.Message)
	if fix == nil {
		return errors.New("the refusal does not say how to reserve the addresses")
	}
	d.tell.Say("$ %s", fix[0])
	if err := d.vpc.reserve(ctx, fix[1], fix[2]); err != nil {
		return err
	}
	if err := d.readReservations(ctx); err != nil {
		return err
	}
	d.tell.Say(apply)
	if err := d.cluster.CreateNAD(ctx, planned.nads[0]); err != nil {
		return err
	}
	d.tell.Holds("EC2 could have given these addresses to any interface; the refusal names the command, and after it the network is created")
	return nil
}
