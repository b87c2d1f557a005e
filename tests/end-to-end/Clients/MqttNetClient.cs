using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Channels;
using IotHub.Harness;
using MQTTnet;
using MQTTnet.Formatter;
using MQTTnet.Protocol;

namespace IotHub.EndToEnd.Clients;

/// <summary>MQTTnet, the usual client of .NET.</summary>
public sealed class MqttNetClient : IMqttTestClient
{
    private readonly IMqttClient _client = new MqttClientFactory().CreateMqttClient();
    private readonly Channel<MqttReceived> _received = Channel.CreateUnbounded<MqttReceived>();
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<X509Certificate2> _certificates = [];

    public MqttNetClient()
    {
        _client.ApplicationMessageReceivedAsync += arrived =>
        {
            var message = arrived.ApplicationMessage;
            var payload = System.Buffers.BuffersExtensions.ToArray(message.Payload);
            _received.Writer.TryWrite(new MqttReceived(message.Topic, payload, (int)message.QualityOfServiceLevel, message.Retain));
            return Task.CompletedTask;
        };
        _client.DisconnectedAsync += _ =>
        {
            _closed.TrySetResult();
            return Task.CompletedTask;
        };
    }

    public async Task<MqttConnected> Connect(MqttLogin login)
    {
        var answer = await _client.ConnectAsync(Options(login)).Within();
        return new MqttConnected(login.Version == 5 ? (int)answer.ResultCode : ReturnCode(answer.ResultCode), answer.IsSessionPresent);
    }

    public async Task<int> Subscribe(string filter, int qos = 0)
    {
        var answer = await _client.SubscribeAsync(filter, (MqttQualityOfServiceLevel)qos).Within();
        return (int)answer.Items.Single().ResultCode;
    }

    public async Task Publish(string topic, string payload, int qos = 0, bool retain = false) =>
        await _client.PublishStringAsync(topic, payload, (MqttQualityOfServiceLevel)qos, retain).Within();

    public Task<MqttReceived> Next(TimeSpan? deadline = null) =>
        _received.Reader.ReadAsync().AsTask().Within(deadline, text: "a message to MQTTnet");

    public async Task Closed(TimeSpan? deadline = null)
    {
        await Eventually.True(() => _closed.Task.IsCompleted, deadline, text: "the server closes the connection");
    }

    public Task Disconnect() => _client.DisconnectAsync();

    public Task Drop()
    {
        // Disposing closes the socket without a DISCONNECT.
        _client.Dispose();
        return Task.CompletedTask;
    }

    public ValueTask DisposeAsync()
    {
        _client.Dispose();
        foreach (var certificate in _certificates)
        {
            certificate.Dispose();
        }
        return ValueTask.CompletedTask;
    }

    /// <summary>MQTTnet tells the return codes of MQTT 3.1.1 as reason codes of MQTT 5; this is what was on the wire.</summary>
    private static int ReturnCode(MqttClientConnectResultCode told) => told switch
    {
        MqttClientConnectResultCode.Success => 0,
        MqttClientConnectResultCode.UnsupportedProtocolVersion => 1,
        MqttClientConnectResultCode.ClientIdentifierNotValid => 2,
        MqttClientConnectResultCode.ServerUnavailable => 3,
        MqttClientConnectResultCode.BadUserNameOrPassword => 4,
        MqttClientConnectResultCode.NotAuthorized => 5,
        _ => (int)told,
    };

    private MqttClientOptions Options(MqttLogin login)
    {
        var url = new Uri(login.Url);
        var options = new MqttClientOptionsBuilder()
            .WithProtocolVersion(login.Version == 5 ? MqttProtocolVersion.V500 : MqttProtocolVersion.V311)
            .WithClientId(login.ClientId)
            .WithCleanStart(login.CleanStart)
            .WithTimeout(Eventually.DefaultDeadline);
        options = url.Scheme is "ws" or "wss"
            ? options.WithWebSocketServer(web => web.WithUri(login.Url))
            : options.WithTcpServer(url.Host, url.Port);
        if (login.UserName is { } user)
        {
            options = options.WithCredentials(user, "");
        }
        if (login.Version == 5)
        {
            options = options.WithSessionExpiryInterval(login.SessionExpiry);
        }
        if (login.Will is { } will)
        {
            options = options.WithWillTopic(will.Topic).WithWillPayload(will.Payload)
                .WithWillQualityOfServiceLevel((MqttQualityOfServiceLevel)will.Qos).WithWillRetain(will.Retain);
        }
        if (url.Scheme is "mqtts" or "wss")
        {
            options = options.WithTlsOptions(tls => Tls(tls, login));
        }
        return options.Build();
    }

    private void Tls(MqttClientTlsOptionsBuilder tls, MqttLogin login)
    {
        tls.UseTls();
        if (login.ServerCaPem is { } ca)
        {
            // The trust chain that MQTTnet can be given does not reach its WebSockets.
            var authority = Keep(X509Certificate2.CreateFromPem(ca));
            tls.WithCertificateValidationHandler(shown => IsSignedBy(authority, shown));
        }
        if (login.CertificatePem is { } certificate)
        {
            tls.WithClientCertificates([Keep(X509Certificate2.CreateFromPem(certificate, login.KeyPem!))]);
        }
    }

    private static bool IsSignedBy(X509Certificate2 authority, MqttClientCertificateValidationEventArgs shown)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(authority);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        return !shown.SslPolicyErrors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch)
            && chain.Build(X509CertificateLoader.LoadCertificate(shown.Certificate.Export(X509ContentType.Cert)));
    }

    private X509Certificate2 Keep(X509Certificate2 certificate)
    {
        _certificates.Add(certificate);
        return certificate;
    }
}
