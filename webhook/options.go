package webhook

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
	"github.com/multus-ipmgr/multus-ipmgr/process"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/certificate"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

const day = 24 * time.Hour

// Options are what an installation can choose about the webhook.
type Options struct {
	Address    string // where reviews are answered, over TLS
	OpsAddress string // where metrics and probes are, over plain HTTP
	CertDir    string // holds tls.crt and tls.key
	// Certificate is one that the webhook issues itself. Without the name of a
	// Secret there is none, and that of CertDir is served.
	Certificate certificate.Settings
	Kubeconfig  string        // empty: the pod's own service account
	Drain       time.Duration // from SIGTERM to the end of listening
	LogLevel    slog.Level
	Policy      inject.Policy
}

// optionParser declares the flags of an installation's choices.
type optionParser struct {
	*process.Flags
	options  Options
	settings []string // IPMGR_* entries of --env
}

// ParseOptions reads the command line, without the program's name. All
// mistakes are reported at once. version goes into the pods' annotation, and
// namespace, the webhook's own, is left alone. The error is flag.ErrHelp when
// help was asked for and has been written to output.
func ParseOptions(arguments []string, version, namespace string, output io.Writer) (Options, error) {
	p := &optionParser{
		Flags: process.NewFlags("webhook", output),
		options: Options{
			Address: ":9443", OpsAddress: ":8080", CertDir: "/tls", Drain: 5 * time.Second,
			Policy: inject.DefaultPolicy(),
			Certificate: certificate.Settings{
				Namespace: namespace, Configuration: "multus-ipmgr", Names: []string{"multus-ipmgr-webhook." + namespace + ".svc"},
				Duration: 90 * day, RenewBefore: 30 * day, Controller: "cert-rotator",
			},
		},
	}
	p.options.Policy.Version = version
	if namespace != "" {
		p.options.Policy.Protected = append(p.options.Policy.Protected, namespace)
	}
	p.serving()
	p.certificate()
	p.injection()
	if err := p.Parse(arguments); err != nil {
		return Options{}, err
	}
	p.check()
	return p.options, p.Mistakes()
}

// serving declares the flags of the webhook itself.
func (p *optionParser) serving() {
	o := &p.options
	p.StringVar(&o.Address, "address", o.Address, "`host:port` where admission reviews are answered, over TLS")
	p.StringVar(&o.OpsAddress, "ops-address", o.OpsAddress, "`host:port` of /metrics, /healthz and /readyz, over plain HTTP")
	p.StringVar(&o.CertDir, "cert-dir", o.CertDir, "`directory` of tls.crt and tls.key, which are loaded again when they change")
	p.Kubeconfig(&o.Kubeconfig)
	p.Flags.Duration(&o.Drain, 0, "drain", "`time` to go on serving after SIGTERM (default 5s)", "a duration such as 5s")
	p.LogLevel(&o.LogLevel)
}

// certificate declares the flags of a certificate that the webhook issues itself.
func (p *optionParser) certificate() {
	c := &p.options.Certificate
	p.StringVar(&c.Secret, "cert-secret", "", "`name` of a Secret, in the webhook's own namespace, for a certificate that the replicas issue and renew themselves, in place of --cert-dir's; they write its authority into the webhook configurations")
	p.Value("cert-names", "DNS `names` by which the API server calls the webhook, comma-separated, for --cert-secret (default multus-ipmgr-webhook.NAMESPACE.svc)", func(text string) error {
		c.Names = strings.Split(text, ",")
		return nil
	})
	p.lifetime("cert-duration", "`time` that a certificate of --cert-secret is valid (default 2160h)", &c.Duration)
	p.lifetime("cert-renew-before", "`time` before its end when the next certificate of --cert-secret is issued (default 720h)", &c.RenewBefore)
}

// lifetime declares a flag for a duration above zero.
func (p *optionParser) lifetime(name, usage string, target *time.Duration) {
	p.Flags.Duration(target, 1, name, usage, "a duration above zero, such as 720h")
}

// injection declares the flags of the injected container.
func (p *optionParser) injection() {
	policy := &p.options.Policy
	p.StringVar(&policy.Image, "image", "", "`image` of the injected container (required)")
	p.Value("image-pull-policy", "`policy`: Always, IfNotPresent or Never (default: Kubernetes's, by the image's tag)", func(text string) error {
		policy.PullPolicy = corev1.PullPolicy(text)
		return oneOf(policy.PullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
	})
	p.Value("image-pull-secrets", "`names`, comma-separated, of Secrets in the pods' namespaces that pull the image; added to pods that lack them", func(text string) (err error) {
		policy.PullSecrets, err = parseNames(text)
		return err
	})
	p.Value("sidecar-style", "`style` of sidecars: native, or container: ordinary containers, for clusters whose policies refuse native ones (default native)", func(text string) error {
		policy.Style = inject.SidecarStyle(text)
		return oneOf(policy.Style, inject.Native, inject.Plain)
	})
	p.Value("env", "`NAME=VALUE` for the injected container, an IPMGR_ or AWS_ setting for instance; may be repeated", p.environment)
	p.Value("requests", "`resources` that the container requests (default cpu=10m,memory=16Mi)", func(text string) (err error) {
		policy.Resources.Requests, err = inject.ParseResources(text)
		return err
	})
	p.Value("limits", "`resources` that the container is limited to (default cpu=200m,memory=64Mi)", func(text string) (err error) {
		policy.Resources.Limits, err = inject.ParseResources(text)
		return err
	})
	p.Value("max-limits", "`resources` that the annotations "+inject.RequestsAnnotation+" and "+inject.LimitsAnnotation+" may ask for at most (default cpu=1,memory=512Mi)", func(text string) (err error) {
		policy.MaxLimits, err = inject.ParseResources(text)
		return err
	})
	p.Value("validate", "`mode` for networks and static addresses: enforce, warn or off, unless the namespace's label "+inject.ValidateLabel+" says so (default enforce)", func(text string) error {
		policy.Validation = inject.Validation(text)
		return oneOf(policy.Validation, inject.Validations()...)
	})
	p.Value("foreign-addresses", "what becomes of pods that ask for an address in the range of a network of another namespace: `deny`, as --validate says, or warn (default deny)", func(text string) error {
		policy.AllowForeign = text == "warn"
		return oneOf(text, "deny", "warn")
	})
	p.BoolFunc("zone-affinity", "whether pods are kept in the zone of their networks' reservations (default true)", func(text string) error {
		keep, err := strconv.ParseBool(text)
		policy.FreeZones = !keep
		return err
	})
	p.StringVar(&policy.WebIdentity.RoleARN, "web-identity-role-arn", "", "`ARN` of an IAM role that only the injected container assumes, by a token of the pod's service account")
	p.StringVar(&policy.WebIdentity.Audience, "web-identity-audience", policy.WebIdentity.Audience, "`audience` of that token")
}

func (p *optionParser) environment(text string) error {
	policy := &p.options.Policy
	env, setting, err := inject.AddEnv(policy.Env, text)
	if policy.Env = env; setting {
		p.settings = append(p.settings, text)
	}
	return err
}

// check validates what concerns more than one flag.
func (p *optionParser) check() {
	policy := &p.options.Policy
	if policy.Image == "" {
		p.Mistake(errors.New("--image is required: the image of the injected container"))
	}
	if c := p.options.Certificate; c.Secret != "" {
		if err := c.Check(); err != nil {
			p.Mistake(fmt.Errorf("--cert-secret: %w", err))
		}
	}
	settings, err := spec.Parse(p.settings)
	if err != nil {
		p.Mistake(err)
	}
	policy.Settings = settings
	for name, limit := range policy.Resources.Limits {
		if request := policy.Resources.Requests[name]; request.Cmp(limit) > 0 {
			p.Mistake(fmt.Errorf("--requests: %s=%s is more than --limits allows (%s)", name, &request, &limit))
		}
	}
}

func oneOf[T ~string](value T, accepted ...T) error {
	if slices.Contains(accepted, value) {
		return nil
	}
	return fmt.Errorf("want one of %q", accepted)
}

// parseNames reads the names of objects, each once.
func parseNames(text string) ([]string, error) {
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if len(validation.IsDNS1123Subdomain(name)) > 0 {
			return nil, fmt.Errorf("%q is not the name of an object; want names such as registry-a,registry-b", name)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}
