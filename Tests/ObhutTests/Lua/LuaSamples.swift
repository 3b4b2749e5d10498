/// Programs whose printed result must be the same under Lua's own interpreter, uninterrupted, and interrupted at any
/// rhythm. Each covers one part of the language that an interruption could disturb.
enum LuaSamples {
    static let all: [(name: String, code: String)] = [
        ("coroutines", coroutines), ("language", language), ("generators", generators),
    ]

    static let coroutines = #"""
        local function show(...) print(...) end
        local co=coroutine.create(function(a,b) show("in",a,b) local c=coroutine.yield(a+b) show("got",c) local d,e=coroutine.yield(c*2) return d,e,"end" end)
        show(coroutine.resume(co,1,2)) show(coroutine.status(co)) show(coroutine.resume(co,10)) show(coroutine.resume(co,"x","y")) show(coroutine.status(co)) show(coroutine.resume(co))
        show(coroutine.resume(coroutine.create(function() error("boom") end)))
        show(coroutine.resume(coroutine.create(function() error({}) end)))
        show(coroutine.resume(coroutine.create(function() error() end)))
        show(pcall(coroutine.wrap(function() error("wrapped") end)))
        show(pcall(coroutine.wrap(function() error("wrapped0",0) end)))
        show(pcall(coroutine.wrap(function() error({1}) end)))
        local w=coroutine.wrap(function() return 1 end) w() show(pcall(w)) show(pcall(w))
        local w=coroutine.wrap(function() error("e1") end) show(pcall(w)) show(pcall(w))
        show(pcall(coroutine.resume,1)) show(pcall(coroutine.create,1)) show(pcall(coroutine.status)) show(pcall(coroutine.wrap)) show(pcall(coroutine.close,3))
        local c2; c2=coroutine.create(function() show(coroutine.status(c2)) show(coroutine.resume(c2)) show(pcall(coroutine.close,c2)) local c3=coroutine.create(function() show(coroutine.status(c2)) show(coroutine.resume(c2)) show(pcall(coroutine.close,c2)) end) coroutine.resume(c3) show(coroutine.running()) show(coroutine.isyieldable()) end)
        show(coroutine.resume(c2)) show(coroutine.status(c2))
        local c4=coroutine.create(function() local x<close> =setmetatable({},{__close=function(_,e) show("closed",e) end}) coroutine.yield(1) end)
        show(coroutine.resume(c4)) show(coroutine.close(c4)) show(coroutine.status(c4)) show(coroutine.close(c4)) show(coroutine.resume(c4))
        local c5=coroutine.create(function() local x<close> =setmetatable({},{__close=function(_,e) error("in close",0) end}) coroutine.yield(1) end)
        show(coroutine.resume(c5)) show(coroutine.close(c5)) show(coroutine.status(c5)) show(coroutine.close(c5))
        local c6=coroutine.create(function() error("dead") end) show(coroutine.resume(c6)) show(coroutine.close(c6)) show(coroutine.status(c6))
        show(coroutine.close(coroutine.create(print)))
        show(select("#",coroutine.resume(coroutine.create(function(...) return ... end),1,nil,nil)))
        show(pcall(coroutine.wrap(function() return pcall(pcall,error,"deep") end)))
        -- yield across pcall, metamethods, iterators, xpcall
        local c7=coroutine.wrap(function() local ok,e=pcall(function() coroutine.yield("a") error("after") end) coroutine.yield(e) local t=setmetatable({},{__index=function(t,k) return coroutine.yield(k) end,__add=function(a,b) coroutine.yield("add") return 7 end,__concat=function(a,b) return coroutine.yield("cc") end,__lt=function() coroutine.yield("lt") return true end,__eq=function() coroutine.yield("eq") return false end,__call=function(self,x) return coroutine.yield("call"..x) end,__len=function() return coroutine.yield("len") end}) show(t.foo) show(t+1) show(t.."x") show(t<t, t==setmetatable({},getmetatable(t))) show(t(3)) show(#t) for v in (function() return coroutine.yield("iter") end) do show("it",v) break end show(xpcall(function() coroutine.yield("xp") error("E",0) end,function(m) return "H"..m end)) return "fin" end)
        for i=1,14 do local r=c7(i) show("main",r) if r=="fin" then break end end
        -- not yieldable places
        show(pcall(coroutine.wrap(function() table.sort({3,1,2},function(a,b) coroutine.yield() return a<b end) end)))
        show(pcall(coroutine.wrap(function() return (string.gsub("x","x",function() coroutine.yield() end)) end)))
        show(pcall(coroutine.yield))
        -- coroutine in sort comparator
        local t={5,3,8,1} table.sort(t,coroutine.wrap(function(a,b) while true do a,b=coroutine.yield(a<b) end end)) show(table.unpack(t))
        -- nesting
        local function deep(d) local ok,r=coroutine.resume(coroutine.create(function() return deep(d+1) end)) return ok and r or d end show(deep(0)>100)
        local function rec(n) return coroutine.wrap(function() if n==0 then error("bottom") end rec(n-1)() end) end show(pcall(rec(5)))
        -- close in a for loop, generic for with to-be-closed
        do local log={} local function it() local c=setmetatable({},{__close=function() log[#log+1]="closed" end}) return function(_,i) i=i+1 if i<4 then return i end end,nil,0,c end for i in it() do if i==2 then break end end show(log[1]) end
        -- debug.traceback of a coroutine
        local c8=coroutine.create(function() local function f() coroutine.yield() end f() end) coroutine.resume(c8) show((debug.traceback(c8)))
        local c9=coroutine.wrap(function() local x<close> =setmetatable({},{__close=function(_,e) show("c9 closing",e) end}) error("c9") end) show(pcall(c9))
        """#

    static let language = #"""
        local function show(...) print(...) end
        -- closures, upvalues
        local fs={} for i=1,10 do local j=i*2 fs[i]=function() j=j+1 return j+i end end local s=0 for i=1,10 do s=s+fs[i]()+fs[i]() end show(s)
        -- vararg
        local function va(...) local a,b=... return select("#",...),a,b,... end show(va(1,nil,3)) show((va()))
        -- string ops
        show(("hello world"):gsub("o","0")) show(("abc"):rep(3,",")) show(("%5.2f|%q|%s"):format(3.14159,"a\nb",{} and "x")) show(("k=v, x=y"):gsub("(%w+)=(%w+)","%2=%1"))
        show(("x1y2"):gsub("%d",function(d) return "<"..d*2 ..">" end)) for k,v in ("a=1,b=2"):gmatch("(%w)=(%w)") do show(k,v) end show(string.pack("<i4",77):byte(1,-1)) show(utf8.char(228,8364),utf8.len("äö"))
        -- sort
        local t={} for i=1,200 do t[i]=(i*7919)%211 end table.sort(t) show(table.concat(t,",",1,20)) table.sort(t,function(a,b) return a>b end) show(table.concat(t,",",1,20)) show(pcall(table.sort,{1,2,3,4,5,6},function(a,b) return true end))
        -- integer/float
        show(7//2,7.0//2,-7%3,7/2,1<<62,math.maxinteger+1,2^53,10//0.0,pcall(function() return 1//0 end)) show(tostring(1e15),1e100,0x10p2,"10"+5,"0x10"*1)
        -- goto, nested loops
        for i=1,3 do for j=1,3 do if j==2 then goto cont end show(i,j) ::cont:: end end
        -- errors
        show(pcall(error)) show(pcall(error,nil)) show(pcall(error,{1})) show(pcall(function() error("lvl2",2) end)) show(pcall(function() local x=nil; x.y=1 end)) show(pcall(function() return 1+{} end)) show(pcall(function() return #5 end)) show(pcall(function() return {}<{} end)) show(pcall(nil)) show(pcall(string.rep)) show(pcall(string.rep,"x",-1)) show(pcall(setmetatable,1,2)) show(pcall(("x").bad))
        show(xpcall(function() error("A",0) end,function(m) return m.."!" end)) show(xpcall(function() error("A",0) end,function(m) error("B",0) end)) show(xpcall(function(...) return select("#",...) end,print,1,nil,nil)) show(pcall(xpcall)) show(pcall(xpcall,print)) show(pcall(pcall))
        show(select(2,pcall(error,setmetatable({},{__tostring=function() return "custom" end}))))
        -- stack overflow
        local function so(n) return 1+so(n+1) end local ok,e=pcall(so,1) show(ok,(e:gsub("\n.*",""))) local function so2() return (tostring(setmetatable({},{__tostring=so2}))) end
        local ok,e=pcall(function() local s=("("):rep(300).."1"..(")"):rep(300) return load("return "..s) end) show(ok,e)
        local m=setmetatable({},{}) getmetatable(m).__index=m show(pcall(function() return m.x end))
        local d={} for i=1,200 do d=setmetatable({},{__index=d}) end show(d.zz)
        local function gs(n) return (string.gsub("x","x",function() if n==0 then return "0" end return gs(n-1) end)) end show(pcall(gs,50)) show(pcall(gs,250))
        -- <close>
        local function cl(name,err) return setmetatable({},{__close=function(_,e) show("close",name,e) if err then error(err,0) end end}) end
        do local a<close> =cl("a") local b<close> =cl("b") show("body") end
        show(pcall(function() local a<close> =cl("a") local b<close> =cl("b","berr") error("orig",0) end))
        local function ret() local a<close> =cl("ret") return 1,2,3 end show(ret())
        show(pcall(function() local a<close> =42 end)) show((function() local x<const> =5 return x end)())
        local function tail(n) if n==0 then return "tail" end return tail(n-1) end show(tail(1000))
        -- metamethods
        local mt={__index=function(t,k) return k.."!" end,__newindex=function(t,k,v) rawset(t,k,v*2) end,__call=function(self,a) return a end,__unm=function() return "neg" end,__len=function() return 99 end,__concat=function(a,b) return "cat" end,__eq=function() return true end,__lt=function() return true end,__le=function() return false end,__idiv=function() return "idiv" end,__band=function() return "band" end,__shl=function() return "shl" end,__bnot=function() return "bnot" end}
        local o=setmetatable({},mt) o.z=4 show(o.foo,o.z,o(1),-o,#o,o.."x","x"..o,o==setmetatable({},mt),o<o,o<=o,o//1,o&1,1<<o,~o)
        -- load
        show(load("return 1+1")()) show(load("return ...","c","t",{})(9)) show(load("x=")) show(load(function() return nil end)) local parts={"return ","42"} local i=0 show(load(function() i=i+1 return parts[i] end)()) show(pcall(function() return load(function() error("reader",0) end) end)) show(pcall(load)) show(pcall(load,{}))
        show(load("return a","n","t",{a=5})()) local env={} load("b=3","n","t",env)() show(env.b)
        show(next({})) show(rawequal("a","a"),rawlen({1,2}),rawget({5},1)) show(table.unpack({1,2,3},2)) show(table.pack(1,nil).n) show(#table.move({1,2,3},1,3,2)) show(table.remove({1,2,3}),pcall(table.insert,{},1,2,3)) show(tostring(nil),tostring(1.5),tonumber("0x1p4"),tonumber("z",36),tonumber("8",8))
        show(math.type(1),math.type(1.0),math.tointeger(3.0),math.floor(-3.5),math.fmod(-7,3),math.ult(1,-1)) show(string.format("%d %s %g %x %c",1,"s",1.5,255,65)) show(pcall(string.format,"%d",1.5)) show(("x"):byte(),("abc"):sub(-2),("abc"):find("b",1,true),("a.b"):find(".",1,true)) show(os.date("!%Y-%m-%d",86400), os.time{year=2020,month=1,day=1,hour=12}~=nil) show(next({},nil),type(next),type(os.clock())) show(pcall(next,{},"nokey")) show(string.rep("ab",3,"-")) show(pcall(string.rep,"x",1<<62))
        for i=10,1,-3 do show(i) end for i=1.0,2,0.5 do show(i) end show(pcall(function() for i=1,10,0 do end end))
        local t=setmetatable({},{__pairs=function(t) return function(_,k) k=(k or 0)+1 if k<4 then return k,k*k end end,t,nil end}) for k,v in pairs(t) do show(k,v) end for i,v in ipairs({1,2,nil,4}) do show(i,v) end
        """#

    static let generators = #"""
        local function gen(n) return coroutine.wrap(function() for i=1,n do coroutine.yield(i) end end) end local s=0 for k=1,20 do for v in gen(100) do s=s+v end end print(s)
        local function walk(n) return coroutine.wrap(function() if n>0 then for v in walk(n-1) do coroutine.yield(v) end coroutine.yield(n) for v in walk(n-1) do coroutine.yield(v) end end end) end local s,c=0,0 for v in walk(6) do s=s+v c=c+1 end print(s,c)
        local function perm(a,n) n=n or #a if n<=1 then coroutine.yield(a) else for i=1,n do a[n],a[i]=a[i],a[n] perm(a,n-1) a[n],a[i]=a[i],a[n] end end end
        for p in coroutine.wrap(function() perm{"a","b","c","d"} end) do io=table.concat(p," ") print(io) end
        local n=0 for i=1,100 do local ok,e=coroutine.resume(coroutine.create(function() pcall(error,'x') local y <close> = setmetatable({},{__close=function() n=n+1 end}) coroutine.yield(1) end)) assert(ok and e==1) local w=coroutine.wrap(function() error('boom',0) end) local ok,e=pcall(w) assert(not ok and tostring(e):find('boom')) end print(n)
        -- producer / filter / consumer
        local function prod() return coroutine.create(function() for i=1,20 do coroutine.yield("line"..i) end end) end
        local function filt(p) return coroutine.create(function() local n=1 while true do local ok,x=coroutine.resume(p) if not x then return end coroutine.yield(n..":"..x) n=n+1 end end) end
        local f=filt(prod()) while true do local ok,x=coroutine.resume(f) if not x then break end print(x) end
        -- scheduler inside Lua
        local q={} local function go(f) q[#q+1]=coroutine.create(f) end for k=1,5 do go(function() for i=1,4 do print(k,i) coroutine.yield() end end) end while #q>0 do local c=table.remove(q,1) coroutine.resume(c) if coroutine.status(c)~="dead" then q[#q+1]=c end end
        -- memoize / string buffer / queens
        local N=6 local board={} local sols=0 local function ok(r,c) for i=1,r-1 do if board[i]==c or math.abs(board[i]-c)==r-i then return false end end return true end local function place(r) if r>N then sols=sols+1 return end for c=1,N do if ok(r,c) then board[r]=c place(r+1) end end end place(1) print(sols)
        local function fib(n) if n<2 then return n end return fib(n-1)+fib(n-2) end print(fib(15))
        local words={} for w in ("the quick brown fox jumps over the lazy dog the end"):gmatch("%a+") do words[w]=(words[w] or 0)+1 end local keys={} for k in pairs(words) do keys[#keys+1]=k end table.sort(keys,function(a,b) if words[a]~=words[b] then return words[a]>words[b] end return a<b end) for _,k in ipairs(keys) do print(k,words[k]) end
        local s=0 for i=1,100 do local t={} for j=1,20 do t[j]={j,tostring(j)} end s=s+#t[20][2] end print(s)
        print((("x"):rep(50):gsub(".",function(c) return coroutine.wrap(function() local z=coroutine.yield(1) return z end)() end)))
        """#
}
