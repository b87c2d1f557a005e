using IotHub.EndToEnd.Support;
using IotHub.Harness;
using Xunit;

namespace IotHub.EndToEnd;

/// <summary>The management API seen by Scaleway's own JavaScript SDK; what is expected stands in the scripts.</summary>
[Collection(HubCollection.Name)]
public sealed class OfficialScalewaySdk(HubFixture fixture)
{
    private static readonly TimeSpan LifeDeadline = TimeSpan.FromMinutes(2);

    [Fact]
    public Task Hubs_are_created_awaited_listed_changed_and_deleted() => Passes("sdk-hubs.mjs");

    [Fact]
    public Task Devices_get_certificate_and_key_once_and_are_changed_and_deleted() => Passes("sdk-devices.mjs");

    [Fact]
    public Task Rest_and_Sigfox_networks_hand_out_their_secret_once() => Passes("sdk-networks.mjs");

    [Fact]
    public Task Routes_to_object_storage_rest_and_database_are_created_changed_and_deleted() => Passes("sdk-routes.mjs");

    [Fact]
    public Task Twin_documents_are_put_patched_with_versions_listed_and_deleted() => Passes("sdk-twins.mjs");

    [Fact]
    public Task Metrics_have_their_names_and_points_in_each_of_the_five_scales() => Passes("sdk-metrics.mjs");

    [Fact]
    public Task Errors_come_out_as_the_classes_made_for_them() => Passes("sdk-errors.mjs");

    [Fact]
    public Task Bare_answers_have_the_recorded_status_headers_and_fields() => Passes("http-answers.mjs");

    [Fact]
    public async Task Every_method_is_called_in_the_whole_life_of_every_resource()
    {
        await using var script = await NodeScript.Start("tests/end-to-end/scripts/sdk-whole-life.mjs", Argument());
        var hubId = (await script.Next(LifeDeadline)).GetProperty("id").GetGuid();
        using var authority = TestPki.Authority("CN=customer");
        using var challenge = TestPki.Leaf($"CN={hubId}", authority);
        await script.Tell(new { caCertPem = authority.ExportCertificatePem(), challengeCertPem = challenge.ExportCertificatePem() });
        Assert.Equal("done", (await script.Next(LifeDeadline)).GetProperty("is").GetString());
    }

    private async Task Passes(string script)
    {
        var told = await NodeScript.Run($"tests/end-to-end/scripts/{script}", Argument());
        Assert.Equal("done", told.GetProperty("is").GetString());
    }

    private object Argument()
    {
        var endpoints = fixture.Endpoints;
        return new
        {
            apiUrl = endpoints.ApiUrl,
            accessKey = endpoints.AccessKey,
            secretKey = endpoints.SecretKey,
            projectId = endpoints.ProjectId,
            organizationId = endpoints.OrganizationId,
            region = endpoints.Region,
            restUrl = endpoints.Ingest.RestUrl,
            sigfoxUrl = endpoints.Ingest.SigfoxUrl,
        };
    }
}
