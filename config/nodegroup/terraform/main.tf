# A node group with Multus ENIs, by the CloudFormation template beside it. Whatever the
# template has a parameter for is given by that name.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 5.0" }
  }
}

variable "cluster_name" { type = string }

variable "name" { type = string }

variable "networks" {
  description = "The Multus networks, with the keys of docs/nodegroups.md."
  type        = any
}

variable "reservations" {
  description = "Ranges that pods' IPAM gives out, at most 12, such as { subnet = \"subnet-a\", cidr = \"10.10.1.64/26\" }."
  type        = list(object({ subnet = string, cidr = string }))
  default     = []
}

variable "parameters" {
  description = "Further parameters of the template: Subnets, NodeSecurityGroups, CodeBucket, CodeKey and so on."
  type        = map(string)
}

data "aws_eks_cluster" "this" { name = var.cluster_name }

resource "aws_cloudformation_stack" "this" {
  name          = "multus-ipmgr-${var.cluster_name}-${var.name}"
  template_body = file("${path.module}/../template.yaml")
  capabilities  = ["CAPABILITY_IAM"]
  parameters = merge({
    ClusterName          = var.cluster_name
    NodeGroupName        = var.name
    ApiServerEndpoint    = data.aws_eks_cluster.this.endpoint
    CertificateAuthority = data.aws_eks_cluster.this.certificate_authority[0].data
    ServiceCidr          = data.aws_eks_cluster.this.kubernetes_network_config[0].service_ipv4_cidr
    Networks             = jsonencode(var.networks)
    NetworkCount         = length(var.networks)
    NetworkSubnets       = join(",", distinct(flatten(var.networks[*].subnets)))
    HostNames = join(" ", [for i, n in var.networks :
      "${try(n.networkCard, 0)}.${try(n.deviceIndex, i + 1)}=${try(n.hostName, "eth${try(n.deviceIndex, i + 1)}")}"
    ])
    NetworkSecurityGroups = join(",", distinct(flatten(var.networks[*].securityGroups)))
  }, { for i, r in var.reservations : "PodReservation${i + 1}" => "${r.subnet}=${r.cidr}" }, var.parameters)
}

output "stack" { value = aws_cloudformation_stack.this.outputs }
