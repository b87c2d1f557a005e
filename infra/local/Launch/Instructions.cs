using System.Globalization;
using IotHub.Local.Processes;

namespace IotHub.Local.Launch;

/// <summary>What is printed when the hub is ready: where everything is, and five commands to try in a second terminal.</summary>
public static class Instructions
{
    private const string Mqtt = "npx --yes mqtt@5.16";

    public static string Text(Endpoints at, string dataFolder) => $$"""

        The hub is ready. Ctrl-C stops it; its data stays in {{dataFolder}}.

          API        {{at.ApiUrl}}   (region {{at.Region}})
          key        access {{at.AccessKey}}   secret {{at.SecretKey}}
          project    {{at.ProjectId}}
          MQTT       {{at.Mqtt.Host}}:{{Number(at.Mqtt.Port)}}   TLS {{at.Mqtt.Host}}:{{Number(at.Mqtt.TlsPort)}}   CA {{at.ServerCa}}
          WebSocket  {{at.Mqtt.WsUrl}}   TLS {{at.Mqtt.WssUrl}}
          ingest     REST {{at.Ingest.RestUrl}}   Sigfox {{at.Ingest.SigfoxUrl}}
          storage    AZURE_STORAGE_CONNECTION_STRING='{{at.StorageConnectionString}}'

        Five commands to paste, one after another, into a second terminal:

        1. A hub, and in it a device that may connect without a certificate

        {{Hub(at)}}

        2. A Sigfox network: an address to post to, and its secret

        {{Network()}}

        3. A route that keeps every message under sigfox/ in the blob container "messages"

        {{Route()}}

        4. Listen as the device, in the background

        {{Listen(at)}}

        5. Post as Sigfox does

        {{Post(at)}}

        """;

    private static string Hub(Endpoints at) =>
        $"API={at.ManagementUrl}; KEY={at.SecretKey}; " +
        Create("HUB", "id", "hubs", $$"""{"name":"my-hub","project_id":"{{at.ProjectId}}"}""") + "; " +
        Create("DEVICE", "id", "devices", """{"name":"my-device","hub_id":"'$HUB'","allow_insecure":true}""") + "; " +
        "echo \"hub $HUB, device $DEVICE\"";

    private static string Network() =>
        Create("SECRET", "secret", "networks", """{"name":"my-sigfox","type":"sigfox","hub_id":"'$HUB'","topic_prefix":"sigfox"}""") +
        "; " +
        "echo \"secret $SECRET\"";

    private static string Route()
    {
        const string Config = """{"bucket_region":"fr-par","bucket_name":"messages","object_prefix":"","strategy":"per_message"}""";
        const string Body = $$"""{"name":"my-route","hub_id":"'$HUB'","topic":"sigfox/#","s3_config":{{Config}}}""";
        return Create("ROUTE", "id", "routes", Body) + "; echo \"route $ROUTE\"";
    }

    /// <summary>In the background without a terminal to read from, and a moment to connect in before the next command.</summary>
    private static string Listen(Endpoints at)
    {
        var port = Number(at.Mqtt.Port);
        return Executables.Find("mosquitto_sub") is null
            ? $"{Mqtt} --version; {Mqtt} subscribe -v -h {at.Mqtt.Host} -p {port} -u $DEVICE -t 'sigfox/#' </dev/null & sleep 5"
            : $"mosquitto_sub -v -h {at.Mqtt.Host} -p {port} -u $DEVICE -t 'sigfox/#' & sleep 1";
    }

    private static string Post(Endpoints at) =>
        $"curl -sS -i {at.Ingest.SigfoxUrl} -H \"X-Secret: $SECRET\" -H 'X-Topic: A1234B/payload' " +
        """-d '{"data":"ABCDEF01","id":"A1234B"}'""";

    private static string Create(string variable, string member, string what, string body) =>
        $"{variable}=$(curl -sS $API/{what} -H \"X-Auth-Token: $KEY\" -H 'Content-Type: application/json' -d '{body}' " +
        $"| sed -E 's/.*\"{member}\":\"([^\"]+)\".*/\\1/')";

    private static string Number(int number) => number.ToString(CultureInfo.InvariantCulture);
}
