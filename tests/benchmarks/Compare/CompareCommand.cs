using System.Globalization;
using System.Net;
using IotHub.Benchmarks.Load;
using IotHub.Harness;

namespace IotHub.Benchmarks.Compare;

/// <summary><c>compare</c>: our broker and Mosquitto through the same loads in turn, as tables in Markdown.</summary>
internal static class CompareCommand
{
    public const string Usage =
        """
        compare [--rounds N (3)] [--quick] [--only TEXT] [--ours] [--sockets] [--broker-core N]
          our broker and, when installed, Mosquitto in turn through the loads of the design; medians, ratios, targets
          --quick: smaller crowds and one round   --only: loads whose name holds TEXT   --ours: without Mosquitto
          --sockets: our broker once more, over the framework's sockets instead of its own loop
          --broker-core: brokers stay on that processor; start the comparison itself on another: taskset -c 0 dotnet run … --broker-core 1
        """;

    public static async Task<int> Run(string[] args)
    {
        var quick = args.Contains("--quick");
        var rounds = Value(args, "--rounds") is { } text ? int.Parse(text, CultureInfo.InvariantCulture) : quick ? 1 : 3;
        var only = Value(args, "--only") ?? "";
        var core = Value(args, "--broker-core");
        var scenarios = Scenarios.All(quick).Where(s => s.Name.Contains(only, StringComparison.OrdinalIgnoreCase)).ToList();
        var withMosquitto = BrokerUnderLoad.MosquittoProgram is not null && !args.Contains("--ours");
        if (BrokerUnderLoad.MosquittoProgram is null)
        {
            Console.WriteLine("Mosquitto is not installed (apt-get install mosquitto): our broker is measured alone, without ratios.\n");
        }
        using var files = new TempFolder("compare");
        var table = new CompareTable(rounds, ProcessFigures.LoadAverage());
        List<Func<Task<BrokerUnderLoad>>> starts = [() => BrokerUnderLoad.StartOurs(files, core)];
        if (args.Contains("--sockets"))
        {
            starts.Add(() => BrokerUnderLoad.StartOurs(files, core, "sockets"));
        }
        if (withMosquitto)
        {
            starts.Add(() => BrokerUnderLoad.StartMosquitto(files, core));
        }
        var lasting = new List<BrokerUnderLoad>();
        try
        {
            foreach (var start in starts)
            {
                lasting.Add(await start());
            }
            foreach (var scenario in scenarios.Where(s => !s.Fresh))
            {
                lasting.ForEach(broker => Load(broker, Scenarios.WarmUp(scenario.Options)));
            }
            for (var round = 1; round <= rounds; round++)
            {
                foreach (var scenario in scenarios)
                {
                    foreach (var (broker, start) in lasting.Zip(starts).Where(b => !scenario.OursOnly || b.First.Name != "Mosquitto"))
                    {
                        var result = scenario.Fresh ? await LoadFresh(start, scenario.Options) : Load(broker, scenario.Options);
                        table.Add(scenario.Name, broker.Name, result);
                        await Console.Error.WriteLineAsync($"round {round} {scenario.Name} {broker.Name} {result.ToJson()}");
                    }
                }
            }
        }
        finally
        {
            foreach (var broker in lasting)
            {
                await broker.DisposeAsync();
            }
        }
        Console.WriteLine(table.Write(scenarios.Select(s => s.Name).ToList(), ProcessFigures.LoadAverage()));
        return table.IsSound ? 0 : 1;
    }

    private static async Task<LoadResult> LoadFresh(Func<Task<BrokerUnderLoad>> start, LoadOptions options)
    {
        await using var broker = await start();
        Load(broker, options with { Connections = Math.Min(options.Connections, 300), Hold = 0.5 });
        return Load(broker, options);
    }

    private static LoadResult Load(BrokerUnderLoad broker, LoadOptions options) => broker.HasEnded
        ? throw new InvalidOperationException($"{broker.Name} has ended by itself:\n{broker.Output}")
        : LoadRun.Execute(options with
        {
            Broker = new IPEndPoint(IPAddress.Loopback, options.Tls ? broker.TlsPort : broker.Port),
            Pid = broker.Pid,
        });

    private static string? Value(string[] args, string name)
    {
        var at = Array.IndexOf(args, name);
        return at >= 0 && at + 1 < args.Length ? args[at + 1] : null;
    }
}
