using BenchmarkDotNet.Attributes;
using IotHub.Broker.Protocol;
using IotHub.Broker.Protocol.Packets;
using IotHub.Harness.Mqtt;

namespace IotHub.Benchmarks;

/// <summary>One PUBLISH of 64 bytes on a topic of 18, in and out.</summary>
[MemoryDiagnoser]
public class CodecBenchmarks
{
    private const string Topic = "sensors/floor/0042";
    private readonly byte[] _qos0 = Harness.Mqtt.Packet.Publish(Topic, new string('x', 64), isV5: false);
    private readonly byte[] _qos1 = Harness.Mqtt.Packet.Publish(Topic, new string('x', 64), qos: 1, id: 7, isV5: false);

    private readonly byte[] _properties = Harness.Mqtt.Packet.Publish(
        Topic, new string('x', 64), qos: 1, id: 7, isV5: true,
        properties: [0x01, 1, .. Harness.Mqtt.Packet.Property(0x02, 60u), .. Harness.Mqtt.Packet.UserProperty("unit", "celsius")]);

    private readonly byte[] _connect = Harness.Mqtt.Packet.Connect(new ConnectOptions { ClientId = "sensor-0042", UserName = "u" });
    private readonly byte[] _topicBytes = System.Text.Encoding.UTF8.GetBytes(Topic);
    private readonly byte[] _payload = new byte[64];
    private readonly byte[] _target = new byte[256];

    [Benchmark]
    public int Decode_qos0() => Decode(_qos0, isV5: false);

    [Benchmark]
    public int Decode_qos1() => Decode(_qos1, isV5: false);

    [Benchmark]
    public int Decode_v5_with_three_properties() => Decode(_properties, isV5: true);

    [Benchmark]
    public bool Decode_connect()
    {
        FrameReader.TryRead(_connect, int.MaxValue, out var frame, out _);
        return Connect.Read(frame.FirstByte, frame.Body, out _).CleanStart;
    }

    [Benchmark]
    public int Encode_qos1()
    {
        var head = new PublishHead(2, 7, null, null);
        var size = PublishWriter.Size(head, _topicBytes.Length, 0, _payload.Length, isV5: false);
        PublishWriter.Write(_target.AsSpan(0, size.Total), size, head, _topicBytes, [], _payload, isV5: false);
        return size.Total;
    }

    [Benchmark]
    public int Encode_puback() => Acknowledgement.Write(_target, PacketType.PubAck, 7, ReasonCode.Success, isV5: true);

    private static int Decode(byte[] packet, bool isV5)
    {
        FrameReader.TryRead(packet, int.MaxValue, out var frame, out _);
        return Publish.Read(frame.FirstByte, frame.Body, isV5).Payload.Length;
    }
}
