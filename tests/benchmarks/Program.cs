using IotHub.Benchmarks;
using IotHub.Benchmarks.Api;
using IotHub.Benchmarks.Compare;
using IotHub.Benchmarks.Durability;
using IotHub.Benchmarks.Kill;
using IotHub.Benchmarks.Load;
using IotHub.Benchmarks.Simulation;
using IotHub.Benchmarks.Soak;

// Run on demand, in Release; see tests/benchmarks/README.md for what each table means.
return args.FirstOrDefault() switch
{
    "micro" => Micro.Run(args[1..]),
    "allocations" => AllocationTable.Run(args[1..]),
    "log" => LogCommand.Run(args[1..]),
    "faults" => await FaultsCommand.Run(),
    "load" => LoadCommand.Run(args[1..]),
    "relay" => Relay.Run(args[1..]),
    "compare" => await CompareCommand.Run(args[1..]),
    "durable" => await DurableCommand.Run(args[1..]),
    "kill" => await KillCommand.Run(args[1..]),
    "soak" => await SoakCommand.Run(args[1..]),
    "simulate" => SimulateCommand.Run(args[1..]),
    "api" => await ApiCommand.Run(args[1..]),
    "lists" => await ListCommand.Run(args[1..]),
    ApiServer.Verb => await ApiServer.Run(args[1..]),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine($"""
        usage: dotnet run -c Release --project tests/benchmarks -- TABLE [options]
          micro [--filter PATTERN]   nanoseconds and bytes of the codec, the topic look-up and a whole publish
          allocations [--update]     allocated bytes per delivery of each hot path; --update writes allocations.json
        {LogCommand.Usage}

        {FaultsCommand.Usage}

        {LoadOptions.Usage}

        {Relay.Usage}

        {CompareCommand.Usage}

        {DurableCommand.Usage}

        {SoakCommand.Usage}

        {ApiCommand.Usage}

        {ListCommand.Usage}

        {KillCommand.Usage}

        {SimulateCommand.Usage}
        """);
    return 2;
}
