using System.Globalization;

namespace IotHub.Local.Launch;

public enum LocalCommand { Run, Demo, Help }

/// <summary>The command line of the launcher.</summary>
/// <param name="DataFolder">Null for the default of the command.</param>
/// <param name="BasePort">First of the ports used; 0 for free ones; null for the default of the command.</param>
/// <param name="StandIn">Use the stand-in host even where Core Tools are installed.</param>
/// <param name="WithoutBroker">Leave the broker to the caller; <c>endpoints.json</c> then says how to start it.</param>
public sealed record LocalOptions(LocalCommand Command, string? DataFolder, int? BasePort, bool StandIn, bool WithoutBroker)
{
    public const string Usage = """
        usage: dotnet run --project infra/local -- [demo] [--data DIR] [--base-port N] [--stand-in] [--without-broker]

          (nothing)        start the whole hub on this machine and keep it running until Ctrl-C
          demo             walk one message through the hub and show every step; on the running hub of --data when there is one,
                           otherwise on a hub of its own that is gone afterwards

          --data DIR       where everything is kept; default .data at the top of the checkout
          --base-port N    first of the nine ports used, 1024 to 65527; default 7071; 0 takes free ones
                             N  API   N+1 MQTT   N+2 MQTT/TLS   N+3 WebSocket   N+4 WebSocket/TLS   N+5 broker, internal
                             N+6 blobs   N+7 queues   N+8 tables
          --stand-in       run the functions under the built-in stand-in host even where Azure Functions Core Tools (func) are installed
          --without-broker start everything but the broker; broker_command in DIR/endpoints.json says how to start it by hand
        """;

    private const int LowestPort = 1024;
    private const int HighestPort = 65535;

    /// <exception cref="LaunchException">The command line says something else.</exception>
    public static LocalOptions Parse(IReadOnlyList<string> args)
    {
        var options = new LocalOptions(LocalCommand.Run, null, null, StandIn: false, WithoutBroker: false);
        for (var i = 0; i < args.Count; i++)
        {
            options = args[i] switch
            {
                "demo" when i == 0 => options with { Command = LocalCommand.Demo },
                "help" or "--help" or "-h" => options with { Command = LocalCommand.Help },
                "--data" => options with { DataFolder = Path.GetFullPath(Value(args, ref i)) },
                "--base-port" => options with { BasePort = ReadPort(Value(args, ref i)) },
                "--without-broker" => options with { WithoutBroker = true },
                "--stand-in" => options with { StandIn = true },
                _ => throw new LaunchException($"{args[i]} is not an option; see --help."),
            };
        }
        return options;
    }

    private static string Value(IReadOnlyList<string> args, ref int i) => ++i < args.Count && args[i].Length > 0
        ? args[i]
        : throw new LaunchException($"{args[i - 1]} needs a value; see --help.");

    private static int ReadPort(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var port)
        && (port == 0 || (port >= LowestPort && port <= HighestPort - Ports.Count + 1))
            ? port
            : throw new LaunchException(
                $"--base-port {text} is not a port from {LowestPort} to {HighestPort - Ports.Count + 1}, nor 0 for free ports.");
}
