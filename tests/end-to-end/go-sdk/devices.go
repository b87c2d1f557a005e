package main

import (
	"net/http"
	"net/url"
	"time"

	iot "github.com/scaleway/scaleway-sdk-go/api/iot/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

func rule(policy iot.DeviceMessageFiltersRulePolicy, topics ...string) *iot.DeviceMessageFiltersRule {
	if topics == nil {
		topics = []string{}
	}
	return &iot.DeviceMessageFiltersRule{Policy: policy, Topics: &topics}
}

func devices(api *tested, hub, other *iot.Hub) {
	var made []string
	for _, name := range []string{"b", "a", "d", "c"} {
		request := &iot.CreateDeviceRequest{HubID: hub.ID, Name: name, AllowInsecure: name < "c", Description: scw.StringPtr("device " + name)}
		created := must(api.CreateDevice(request))
		device := created.Device
		made = append(made, device.ID)
		equal("as it was asked for", device.Name+device.HubID+device.Description, name+hub.ID+"device "+name)
		equal("insecure", device.AllowInsecure, name < "c")
		equal("status", device.Status, iot.DeviceStatusEnabled)
		equal("never active", device.LastActivityAt.Unix(), int64(0))
		equal("nothing is filtered", device.MessageFilters, &iot.DeviceMessageFilters{
			Publish:   rule(iot.DeviceMessageFiltersRulePolicyReject),
			Subscribe: rule(iot.DeviceMessageFiltersRulePolicyReject),
		})
		equal("the certificate's name", parsed(created.Certificate.Crt).Subject.CommonName, name)
		is("a key comes with it", created.Certificate.Key != "")
		equal("what is read of it", must(api.GetDevice(&iot.GetDeviceRequest{DeviceID: device.ID})), device)
		read := must(api.GetDeviceCertificate(&iot.GetDeviceCertificateRequest{DeviceID: device.ID}))
		equal("the certificate that is read", read.CertificatePem, created.Certificate.Crt)
	}
	deviceLists(api, hub, made)
	deviceChanges(api, hub, other, made[0])
	deviceCertificates(api, made[0], made[1])
	metrics := must(api.GetDeviceMetrics(&iot.GetDeviceMetricsRequest{DeviceID: made[0]}))
	equal("the metrics of a device", seriesNames(metrics.Metrics), []string{"messages_count", "device_activity"})
	equal("points of one hour", len(metricsSince(api, made[0], time.Now().Add(-59*time.Minute)).Metrics[0].Points), 60)
	twins(api, made[0])
	for _, id := range made {
		ok(api.DeleteDevice(&iot.DeleteDeviceRequest{DeviceID: id}))
		gone(failure(api.GetDevice(&iot.GetDeviceRequest{DeviceID: id})), "device", id)
		gone(failure(api.GetDeviceCertificate(&iot.GetDeviceCertificateRequest{DeviceID: id})), "device", id)
		gone(failure(api.EnableDevice(&iot.EnableDeviceRequest{DeviceID: id})), "device", id)
		gone(api.DeleteDevice(&iot.DeleteDeviceRequest{DeviceID: id}), "device", id)
	}
	equal("devices of the hub", must(api.GetHub(&iot.GetHubRequest{HubID: hub.ID})).DeviceCount, uint64(0))
}

func deviceLists(api *tested, hub *iot.Hub, made []string) {
	disabled := must(api.DisableDevice(&iot.DisableDeviceRequest{DeviceID: made[2]}))
	equal("a disabled device", disabled.Status, iot.DeviceStatusDisabled)
	list := func(request iot.ListDevicesRequest) (ids []string) {
		request.HubID = &hub.ID
		for _, device := range must(api.ListDevices(&request)).Devices {
			ids = append(ids, device.ID)
		}
		return ids
	}
	equal("disabled and secure", list(iot.ListDevicesRequest{Status: iot.DeviceStatusDisabled, AllowInsecure: scw.BoolPtr(false)}), made[2:3])
	equal("by name", list(iot.ListDevicesRequest{Name: scw.StringPtr("a")}), made[1:2])
	equal("insecure ones", len(list(iot.ListDevicesRequest{AllowInsecure: scw.BoolPtr(true)})), 2)
	equal("enabled again", must(api.EnableDevice(&iot.EnableDeviceRequest{DeviceID: made[2]})).Status, iot.DeviceStatusEnabled)
	orders := []iot.ListDevicesRequestOrderBy{
		iot.ListDevicesRequestOrderByNameAsc, iot.ListDevicesRequestOrderByNameDesc,
		iot.ListDevicesRequestOrderByStatusAsc, iot.ListDevicesRequestOrderByStatusDesc,
		iot.ListDevicesRequestOrderByHubIDAsc, iot.ListDevicesRequestOrderByHubIDDesc,
		iot.ListDevicesRequestOrderByCreatedAtAsc, iot.ListDevicesRequestOrderByCreatedAtDesc,
		iot.ListDevicesRequestOrderByUpdatedAtAsc, iot.ListDevicesRequestOrderByUpdatedAtDesc,
		iot.ListDevicesRequestOrderByAllowInsecureAsc, iot.ListDevicesRequestOrderByAllowInsecureDesc,
	}
	wanted := append([]string{}, made...)
	inEveryOrder(wanted, orders, func(order iot.ListDevicesRequestOrderBy, pageSize *uint32) (ids []string, total int) {
		list := must(api.ListDevices(&iot.ListDevicesRequest{HubID: &hub.ID, OrderBy: order, PageSize: pageSize}, scw.WithAllPages()))
		for _, device := range list.Devices {
			ids = append(ids, device.ID)
		}
		return ids, int(list.TotalCount)
	})
}

func deviceChanges(api *tested, hub, other *iot.Hub, id string) {
	before := must(api.GetDevice(&iot.GetDeviceRequest{DeviceID: id}))
	changed := must(api.UpdateDevice(&iot.UpdateDeviceRequest{
		DeviceID:                 id,
		Description:              scw.StringPtr("by the door"),
		AllowInsecure:            scw.BoolPtr(false),
		AllowMultipleConnections: scw.BoolPtr(true),
		MessageFilters: &iot.DeviceMessageFilters{
			Publish:   rule(iot.DeviceMessageFiltersRulePolicyReject, "1", "2"),
			Subscribe: rule(iot.DeviceMessageFiltersRulePolicyAccept, "3/#"),
		},
	}))
	equal("the description", changed.Description, "by the door")
	equal("the switches", []bool{changed.AllowInsecure, changed.AllowMultipleConnections}, []bool{false, true})
	equal("the publish rule", changed.MessageFilters.Publish, rule(iot.DeviceMessageFiltersRulePolicyReject, "1", "2"))
	equal("the subscribe rule", changed.MessageFilters.Subscribe, rule(iot.DeviceMessageFiltersRulePolicyAccept, "3/#"))
	is("it was updated", changed.UpdatedAt.After(*before.UpdatedAt))
	half := must(api.UpdateDevice(&iot.UpdateDeviceRequest{
		DeviceID: id, MessageFilters: &iot.DeviceMessageFilters{Publish: rule(iot.DeviceMessageFiltersRulePolicyReject)},
	}))
	equal("the rule that was not given", half.MessageFilters.Subscribe, changed.MessageFilters.Subscribe)
	equal("all that was not given", half.Description, "by the door")
	moved := must(api.UpdateDevice(&iot.UpdateDeviceRequest{DeviceID: id, HubID: &other.ID}))
	equal("the new hub", moved.HubID, other.ID)
	equal("devices of the hub it left", must(api.GetHub(&iot.GetHubRequest{HubID: hub.ID})).DeviceCount, uint64(3))
	back := must(api.UpdateDevice(&iot.UpdateDeviceRequest{DeviceID: id, HubID: &hub.ID}))
	equal("the hub it came back to", back.HubID, hub.ID)
}

func deviceCertificates(api *tested, one, another string) {
	before := must(api.GetDeviceCertificate(&iot.GetDeviceCertificateRequest{DeviceID: another}))
	taken := refused[*scw.ResponseError](failure(api.SetDeviceCertificate(
		&iot.SetDeviceCertificateRequest{DeviceID: one, CertificatePem: before.CertificatePem})))
	equal("a certificate of another device", taken.Type, "already_exists")
	renewed := must(api.RenewDeviceCertificate(&iot.RenewDeviceCertificateRequest{DeviceID: another}))
	is("another certificate, with its key", renewed.Certificate.Crt != before.CertificatePem && renewed.Certificate.Key != "")
	own := selfSigned("anybody")
	set := must(api.SetDeviceCertificate(&iot.SetDeviceCertificateRequest{DeviceID: one, CertificatePem: own}))
	equal("the certificate that was set", set.CertificatePem, own)
	is("a certificate of one's own", set.Device.HasCustomCertificate)
	equal("what is read of it", must(api.GetDeviceCertificate(&iot.GetDeviceCertificateRequest{DeviceID: one})).CertificatePem, own)
	refused[*scw.PreconditionFailedError](failure(api.RenewDeviceCertificate(&iot.RenewDeviceCertificateRequest{DeviceID: one})))
}

// metricsSince asks with a start, at which the method of this version of the SDK panics.
func metricsSince(api *tested, deviceID string, start time.Time) (metrics iot.GetDeviceMetricsResponse) {
	ok(api.client.Do(&scw.ScalewayRequest{
		Method:  http.MethodGet,
		Path:    "/iot/v1/regions/" + api.region.String() + "/devices/" + deviceID + "/metrics",
		Query:   url.Values{"start_date": {start.Format(time.RFC3339)}},
		Headers: http.Header{},
	}, &metrics))
	return metrics
}

func twins(api *tested, twinID string) {
	document := func(name string) *iot.GetTwinDocumentRequest {
		return &iot.GetTwinDocumentRequest{TwinID: twinID, DocumentName: name}
	}
	put := must(api.PutTwinDocument(&iot.PutTwinDocumentRequest{
		TwinID: twinID, DocumentName: "current", Data: &scw.JSONObject{"on": true, "door": map[string]interface{}{"open": 1.5}},
	}))
	equal("the first version", put.Version, uint32(1))
	patched := must(api.PatchTwinDocument(&iot.PatchTwinDocumentRequest{
		TwinID: twinID, DocumentName: "current", Version: scw.Uint32Ptr(1),
		Data: &scw.JSONObject{"on": nil, "door": map[string]interface{}{"locked": "yes"}},
	}))
	equal("after the patch", patched.Data, &scw.JSONObject{"door": map[string]interface{}{"open": 1.5, "locked": "yes"}})
	stale := refused[*scw.InvalidArgumentsError](failure(api.PutTwinDocument(
		&iot.PutTwinDocumentRequest{TwinID: twinID, DocumentName: "current", Version: scw.Uint32Ptr(1), Data: &scw.JSONObject{}})))
	equal("the argument that is wrong", stale.Details[0].ArgumentName, "version")
	equal("what is read of it", must(api.GetTwinDocument(document("current"))), patched)
	must(api.PutTwinDocument(&iot.PutTwinDocumentRequest{TwinID: twinID, DocumentName: "desired"}))
	list := must(api.ListTwinDocuments(&iot.ListTwinDocumentsRequest{TwinID: twinID}))
	equal("documents", len(list.Documents), 2)
	ok(api.DeleteTwinDocument(&iot.DeleteTwinDocumentRequest{TwinID: twinID, DocumentName: "current"}))
	gone(failure(api.GetTwinDocument(document("current"))), "twin_document", "current")
	ok(api.DeleteTwinDocuments(&iot.DeleteTwinDocumentsRequest{TwinID: twinID}))
	equal("documents that are left", len(must(api.ListTwinDocuments(&iot.ListTwinDocumentsRequest{TwinID: twinID})).Documents), 0)
}
