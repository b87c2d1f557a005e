package main

import (
	"time"

	iot "github.com/scaleway/scaleway-sdk-go/api/iot/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

// whatTerraformCalls makes the calls of Scaleway's Terraform provider in its order: create, wait, read, read once more (a plan must
// find nothing to do), update, read, destroy, and a read that must not find it. The provider itself is not run.
func whatTerraformCalls(api *tested) {
	minimal := terraformHub(api, "minimal", iot.HubProductPlanPlanShared)
	terraformHubSwitched(api, minimal.ID)
	terraformHubDestroyed(api, minimal.ID)

	hub := terraformHub(api, "with everything", iot.HubProductPlanPlanDedicated)
	defer api.DeleteHub(&iot.DeleteHubRequest{HubID: hub.ID, DeleteDevices: scw.BoolPtr(true)})
	other := terraformHub(api, "other", iot.HubProductPlanPlanDedicated)
	defer api.DeleteHub(&iot.DeleteHubRequest{HubID: other.ID, DeleteDevices: scw.BoolPtr(true)})
	terraformDeviceMinimal(api, hub.ID)
	terraformDeviceFiltered(api, hub.ID, other.ID)
	terraformDeviceWithOwnCertificate(api, hub.ID)
	terraformNetworks(api, hub.ID)
	terraformRoutes(api, hub.ID)
	terraformHubAuthority(api, hub.ID)
	terraformHubDestroyed(api, other.ID)
	terraformHubDestroyed(api, hub.ID)
}

func terraformHub(api *tested, name string, plan iot.HubProductPlan) *iot.Hub {
	created := must(api.CreateHub(&iot.CreateHubRequest{
		Region: api.region, Name: name, ProductPlan: plan, EventsTopicPrefix: scw.StringPtr("$SCW/events"),
	}))
	must(wait(api, created.ID))
	hub := must(api.GetHub(&iot.GetHubRequest{Region: api.region, HubID: created.ID}))
	equal("status", hub.Status, iot.HubStatusReady)
	is("what the state takes without a look", hub.CreatedAt != nil && hub.UpdatedAt != nil && hub.Endpoint != "")
	equal("what the plan compares", []interface{}{hub.Name, hub.ProductPlan, hub.Enabled, hub.DisableEvents, hub.EventsTopicPrefix,
		hub.EnableDeviceAutoProvisioning, hub.Region}, []interface{}{name, plan, true, false, "$SCW/events", false, api.region})
	equal("the next plan", must(api.GetHub(&iot.GetHubRequest{Region: api.region, HubID: hub.ID})), hub)
	// The data source takes the one of that very name from the first page.
	found := 0
	list := must(api.ListHubs(&iot.ListHubsRequest{Region: api.region, ProjectID: &hub.ProjectID, Name: &name}))
	for _, one := range list.Hubs {
		if one.Name == name && one.ID == hub.ID {
			found++
		}
	}
	equal("hubs of that name", found, 1)
	return hub
}

// terraformHubSwitched is what `enabled = false` and then `true` with other changes does. The plan is sent as "unknown", all else as null.
func terraformHubSwitched(api *tested, id string) {
	before := must(api.GetHub(&iot.GetHubRequest{Region: api.region, HubID: id}))
	must(api.DisableHub(&iot.DisableHubRequest{Region: api.region, HubID: id}))
	equal("status", must(wait(api, id)).Status, iot.HubStatusDisabled)
	must(api.UpdateHub(&iot.UpdateHubRequest{Region: api.region, HubID: id}))
	off := must(api.GetHub(&iot.GetHubRequest{Region: api.region, HubID: id}))
	is("not enabled", !off.Enabled)
	equal("what was not touched", []interface{}{off.Name, off.ProductPlan, off.EventsTopicPrefix, off.DisableEvents},
		[]interface{}{before.Name, before.ProductPlan, before.EventsTopicPrefix, before.DisableEvents})

	must(api.EnableHub(&iot.EnableHubRequest{Region: api.region, HubID: id}))
	equal("status", must(wait(api, id)).Status, iot.HubStatusReady)
	must(api.UpdateHub(&iot.UpdateHubRequest{
		Region: api.region, HubID: id,
		Name: scw.StringPtr("renamed"), DisableEvents: scw.BoolPtr(true), EventsTopicPrefix: scw.StringPtr("$SCW/mine"),
	}))
	on := must(api.GetHub(&iot.GetHubRequest{Region: api.region, HubID: id}))
	equal("what was changed", []interface{}{on.Name, on.Enabled, on.DisableEvents, on.EventsTopicPrefix},
		[]interface{}{"renamed", true, true, "$SCW/mine"})
}

// terraformHubAuthority is what `hub_ca`, `hub_ca_challenge` and `device_auto_provisioning` do to a hub that is there. They cannot
// be given with its creation, since the challenge names the hub.
func terraformHubAuthority(api *tested, id string) {
	own := newCustomer()
	early := refused[*scw.InvalidArgumentsError](failure(api.SetHubCA(
		&iot.SetHubCARequest{Region: api.region, HubID: id, CaCertPem: own.pem, ChallengeCertPem: ""})))
	equal("without a challenge", early.Details[0].ArgumentName, "challenge_cert_pem")
	must(api.SetHubCA(&iot.SetHubCARequest{Region: api.region, HubID: id, CaCertPem: own.pem, ChallengeCertPem: own.signs(id)}))
	must(api.UpdateHub(&iot.UpdateHubRequest{Region: api.region, HubID: id, EnableDeviceAutoProvisioning: scw.BoolPtr(true)}))
	hub := must(api.GetHub(&iot.GetHubRequest{Region: api.region, HubID: id}))
	is("its own authority, devices made by it", hub.HasCustomCa && hub.EnableDeviceAutoProvisioning)
	// The provider reads both members of the certificate unless it was given one.
	created := must(api.CreateDevice(&iot.CreateDeviceRequest{Region: api.region, HubID: id, Name: "under the own authority"}))
	is("no certificate, but a place for it", created.Certificate != nil)
	terraformDeviceDestroyed(api, created.Device.ID)
}

func terraformHubDestroyed(api *tested, id string) {
	ok(api.DeleteHub(&iot.DeleteHubRequest{Region: api.region, HubID: id}))
	gone(failure(wait(api, id)), "hub", id)
	gone(failure(api.GetHub(&iot.GetHubRequest{Region: api.region, HubID: id})), "hub", id)
	gone(api.DeleteHub(&iot.DeleteHubRequest{Region: api.region, HubID: id}), "hub", id)
}

// terraformDevice reads a device as the provider does, which follows every pointer.
func terraformDevice(api *tested, id string) *iot.Device {
	device := must(api.GetDevice(&iot.GetDeviceRequest{Region: api.region, DeviceID: id}))
	for _, at := range []*time.Time{device.CreatedAt, device.UpdatedAt, device.LastActivityAt} {
		is("every time is there", at.Format(time.RFC3339) != "")
	}
	is("every list is there", *device.MessageFilters.Publish.Topics != nil && *device.MessageFilters.Subscribe.Topics != nil)
	return device
}

func terraformDeviceMinimal(api *tested, hubID string) {
	created := must(api.CreateDevice(&iot.CreateDeviceRequest{Region: api.region, HubID: hubID, Name: "minimal"}))
	id := created.Device.ID
	device := terraformDevice(api, id)
	equal("filters that are not in the configuration", device.MessageFilters, &iot.DeviceMessageFilters{
		Publish:   rule(iot.DeviceMessageFiltersRulePolicyReject),
		Subscribe: rule(iot.DeviceMessageFiltersRulePolicyReject),
	})
	read := must(api.GetDeviceCertificate(&iot.GetDeviceCertificateRequest{Region: api.region, DeviceID: id}))
	equal("the certificate in the state", read.CertificatePem, created.Certificate.Crt)
	equal("the next plan", terraformDevice(api, id), device)
	name := "minimal"
	list := must(api.ListDevices(&iot.ListDevicesRequest{Region: api.region, Name: &name, HubID: &hubID}))
	equal("what the data source finds", list.Devices[0].ID, id)
	terraformDeviceDestroyed(api, id)
}

func terraformDeviceFiltered(api *tested, hubID, otherID string) {
	// A rule without topics has null for them, a rule that is not in the configuration is null.
	id := must(api.CreateDevice(&iot.CreateDeviceRequest{
		Region: api.region, HubID: hubID, Name: "filtered", AllowInsecure: true, Description: scw.StringPtr("described"),
		MessageFilters: &iot.DeviceMessageFilters{Publish: &iot.DeviceMessageFiltersRule{Policy: iot.DeviceMessageFiltersRulePolicyReject}},
	})).Device.ID
	device := terraformDevice(api, id)
	equal("the rules", device.MessageFilters, &iot.DeviceMessageFilters{
		Publish:   rule(iot.DeviceMessageFiltersRulePolicyReject),
		Subscribe: rule(iot.DeviceMessageFiltersRulePolicyReject),
	})
	must(api.UpdateDevice(&iot.UpdateDeviceRequest{
		Region: api.region, DeviceID: id, AllowInsecure: scw.BoolPtr(false),
		MessageFilters: &iot.DeviceMessageFilters{Subscribe: rule(iot.DeviceMessageFiltersRulePolicyAccept, "4", "5", "6")},
	}))
	changed := terraformDevice(api, id)
	equal("the rule that was changed", changed.MessageFilters.Subscribe, rule(iot.DeviceMessageFiltersRulePolicyAccept, "4", "5", "6"))
	equal("the rule that was not", changed.MessageFilters.Publish, device.MessageFilters.Publish)
	equal("the description", changed.Description, "described")
	// Another hub is given with its region before it; a description that was taken out is "".
	regional := api.region.String() + "/" + otherID
	must(api.UpdateDevice(&iot.UpdateDeviceRequest{
		Region: api.region, DeviceID: id, HubID: &regional, Description: scw.StringPtr(""), AllowMultipleConnections: scw.BoolPtr(true),
	}))
	moved := terraformDevice(api, id)
	equal("hub and description", moved.HubID+moved.Description, otherID)
	is("several connections", moved.AllowMultipleConnections)
	terraformDeviceDestroyed(api, id)
}

func terraformDeviceWithOwnCertificate(api *tested, hubID string) {
	id := must(api.CreateDevice(&iot.CreateDeviceRequest{Region: api.region, HubID: hubID, Name: "with its own"})).Device.ID
	for _, text := range []string{selfSigned("first"), selfSigned("second")} {
		set := must(api.SetDeviceCertificate(&iot.SetDeviceCertificateRequest{Region: api.region, DeviceID: id, CertificatePem: text}))
		equal("what came back", set.CertificatePem, text)
		device := terraformDevice(api, id)
		is("its own certificate", device.HasCustomCertificate)
		equal("the next plan", terraformDevice(api, id), device)
		must(api.UpdateDevice(&iot.UpdateDeviceRequest{Region: api.region, DeviceID: id}))
		read := must(api.GetDeviceCertificate(&iot.GetDeviceCertificateRequest{Region: api.region, DeviceID: id}))
		equal("after an update of nothing", read.CertificatePem, text)
	}
	terraformDeviceDestroyed(api, id)
}

func terraformDeviceDestroyed(api *tested, id string) {
	ok(api.DeleteDevice(&iot.DeleteDeviceRequest{Region: api.region, DeviceID: id}))
	gone(failure(api.GetDevice(&iot.GetDeviceRequest{Region: api.region, DeviceID: id})), "device", id)
	gone(api.DeleteDevice(&iot.DeleteDeviceRequest{Region: api.region, DeviceID: id}), "device", id)
}

func terraformNetworks(api *tested, hubID string) {
	for _, asked := range []iot.CreateNetworkRequest{
		{Name: "default", Type: iot.NetworkNetworkTypeSigfox},
		{Name: "default", Type: iot.NetworkNetworkTypeRest, TopicPrefix: "foo/bar"},
	} {
		asked := asked
		asked.Region, asked.HubID = api.region, hubID
		created := must(api.CreateNetwork(&asked))
		is("a secret for the state", created.Secret != "")
		id := created.Network.ID
		network := must(api.GetNetwork(&iot.GetNetworkRequest{Region: api.region, NetworkID: id}))
		equal("what the plan compares", []interface{}{network.Name, network.Type, network.TopicPrefix, network.HubID},
			[]interface{}{asked.Name, asked.Type, asked.TopicPrefix, hubID})
		ok(api.DeleteNetwork(&iot.DeleteNetworkRequest{Region: api.region, NetworkID: id}))
		equal("the hub after that", must(wait(api, hubID)).Status, iot.HubStatusReady)
		gone(failure(api.GetNetwork(&iot.GetNetworkRequest{Region: api.region, NetworkID: id})), "network", id)
		gone(api.DeleteNetwork(&iot.DeleteNetworkRequest{Region: api.region, NetworkID: id}), "network", id)
	}
}

func terraformRoutes(api *tested, hubID string) {
	terraformRoute(api, &iot.CreateRouteRequest{HubID: hubID, S3Config: &iot.CreateRouteRequestS3Config{
		BucketRegion: "fr-par", BucketName: "bucket", ObjectPrefix: "foo", Strategy: iot.RouteS3ConfigS3StrategyPerTopic,
	}})
	// Its prefix is optional.
	terraformRoute(api, &iot.CreateRouteRequest{HubID: hubID, S3Config: &iot.CreateRouteRequestS3Config{
		BucketRegion: "nl-ams", BucketName: "bucket", Strategy: iot.RouteS3ConfigS3StrategyPerMessage,
	}})
	for _, verb := range []iot.RouteRestConfigHTTPVerb{
		iot.RouteRestConfigHTTPVerbGet, iot.RouteRestConfigHTTPVerbPost, iot.RouteRestConfigHTTPVerbPut,
		iot.RouteRestConfigHTTPVerbPatch, iot.RouteRestConfigHTTPVerbDelete,
	} {
		// The address must come back as it was given, without a slash at its end.
		terraformRoute(api, &iot.CreateRouteRequest{HubID: hubID, RestConfig: &iot.CreateRouteRequestRestConfig{
			Verb: verb, URI: "http://scaleway.com", Headers: map[string]string{"X-terraform-test": "inprogress"},
		}})
	}
	// No engine can be chosen: it is sent as "unknown".
	terraformRoute(api, &iot.CreateRouteRequest{HubID: hubID, DbConfig: &iot.CreateRouteRequestDatabaseConfig{
		Host: "51.159.113.11", Port: 27931, Dbname: "rdb", Username: "root", Password: "hush", Query: "SELECT NOW()",
	}})
}

// terraformRoute also expects that nothing of a route is changed on its way into the registry: any difference would replace it.
func terraformRoute(api *tested, asked *iot.CreateRouteRequest) {
	asked.Region, asked.Name, asked.Topic = api.region, "default", "#"
	must(wait(api, asked.HubID))
	id := must(api.CreateRoute(asked)).ID
	must(wait(api, asked.HubID))
	route := must(api.GetRoute(&iot.GetRouteRequest{Region: api.region, RouteID: id}))
	equal("what the plan compares", []string{route.Name, route.HubID, route.Topic}, []string{asked.Name, asked.HubID, asked.Topic})
	switch route.Type {
	case iot.RouteRouteTypeS3:
		equal("its settings", iot.CreateRouteRequestS3Config(*route.S3Config), *asked.S3Config)
	case iot.RouteRouteTypeRest:
		equal("its settings", iot.CreateRouteRequestRestConfig(*route.RestConfig), *asked.RestConfig)
	case iot.RouteRouteTypeDatabase:
		got, wanted := route.DbConfig, asked.DbConfig
		equal("its settings", []interface{}{got.Host, got.Port, got.Dbname, got.Username, got.Query, got.Password, got.Engine},
			[]interface{}{wanted.Host, wanted.Port, wanted.Dbname, wanted.Username, wanted.Query, "", iot.RouteDatabaseConfigEnginePostgresql})
	default:
		panic("a route of type " + route.Type)
	}
	must(wait(api, asked.HubID))
	ok(api.DeleteRoute(&iot.DeleteRouteRequest{Region: api.region, RouteID: id}))
	must(wait(api, asked.HubID))
	gone(failure(api.GetRoute(&iot.GetRouteRequest{Region: api.region, RouteID: id})), "route", id)
	gone(api.DeleteRoute(&iot.DeleteRouteRequest{Region: api.region, RouteID: id}), "route", id)
}
